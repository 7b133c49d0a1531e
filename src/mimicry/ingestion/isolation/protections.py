"""Which protections of a run are active, in one line and for the record."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from mimicry.errors import BundleError
from mimicry.ingestion.isolation.confine import LONGEST_REPORT, NETWORK
from mimicry.ingestion.processes import prctl

HIDDEN_INPUT = "hidden-input"
NOT_DUMPABLE = "not-dumpable"
_PR_SET_DUMPABLE = 4


class Protections(NamedTuple):
    """What keeps a model in its place.

    Attributes
    ----------
    active : tuple of str
        Names of protections, as ``docs/security.md`` explains them.
    missing : tuple of str
        The others, each with the reason: ``network: it is allowed``.
    """

    active: tuple[str, ...]
    missing: tuple[str, ...]

    def line(self) -> str:
        """Return what a run says at its start."""
        missing = f"; missing: {'; '.join(self.missing)}" if self.missing else "; none is missing"
        return f"isolation of the model: {', '.join(self.active) or 'none'}{missing}"


def find_protections(found: Mapping[str, str | None], *, network: bool) -> Protections:
    """Sort protections into active and missing ones.

    Parameters
    ----------
    found : mapping
        From each protection's name to None where it took effect, else to why not.
    network : bool
        Whether the organiser allows models the network: then it is not missing.
    """
    counted = {name: why for name, why in found.items() if not (network and name == NETWORK)}
    return Protections(
        tuple(name for name, problem in counted.items() if problem is None),
        tuple(f"{name}: {problem}" for name, problem in counted.items() if problem is not None),
    )


def read_report(control: socket.socket, seconds: float) -> dict[str, str | None]:
    """Read what the confining program tells, to its end.

    Raises
    ------
    BundleError
        ``model-start``: it ended without a report, or gave none in time.
    """
    text = b""
    control.settimeout(seconds)
    with suppress(OSError):
        while len(text) <= LONGEST_REPORT and (part := control.recv(LONGEST_REPORT)):
            text += part
    try:
        found: dict[str, str | None] = json.loads(text)
    except ValueError:
        raise BundleError(
            "model-start",
            "the model's process ended before it was confined: this Python cannot be started "
            "a second time. Look into the private log.",
        ) from None
    return found


def check_required(protections: Protections) -> None:
    """Refuse to go on where a protection is missing.

    Raises
    ------
    BundleError
        ``isolation-missing``, naming each with its reason.
    """
    if protections.missing:
        raise BundleError(
            "isolation-missing",
            "--require-isolation: the model is not started, since protections are missing: "
            f"{'; '.join(protections.missing)}. Run on a newer kernel, or without "
            "--require-isolation.",
        )


@contextmanager
def not_dumpable() -> Iterator[str | None]:
    """Close this process's memory and environment to others of the same user meanwhile.

    Yields
    ------
    str or None
        Why it is not so; None when it is.
    """
    problem = _set_dumpable(0)
    try:
        yield problem
    finally:
        _set_dumpable(1)


def _set_dumpable(value: int) -> str | None:
    try:
        prctl(_PR_SET_DUMPABLE, value)
    except OSError as error:
        return error.strerror
    return None
