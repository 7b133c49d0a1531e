"""Exact versions in a ``requirements.txt`` that give way to those of the container.

Submissions of earlier rounds could ask for nothing but exact versions, and wrote down those
of the machine at home. Where such a version cannot be had, the line is a record of what was
there; a range (``<5``), or a version of what the container lacks, is always a demand.
"""

from collections import defaultdict
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from mimicry.errors import MimicryError, SubmissionError
from mimicry.ingestion import overlay
from mimicry.ingestion.requirements import (
    Allowed,
    Installed,
    bounded,
    check_requirements,
    holds,
    installed_version,
    requirements_here,
)

# Of the time left, what the first attempt may take where there is a second one.
FIRST_SHARE = 0.5
SHOWN_REPLACEMENTS = 5
# Errors that may well come from another version than the one asked for.
_VERSION_ERRORS = frozenset({"model-import", "load-failed"})


class Pin(NamedTuple):
    """A line that may give way: its package and version, and what the container has."""

    name: str
    asked: str
    here: str

    def told(self, version: str | None = None) -> str:
        """Say what serves in its place: ``torch 2.13.0 for torch==2.3.0``."""
        return f"{self.name} {version or self.here} for {self.name}=={self.asked}"


class Installation(NamedTuple):
    """What was installed, and what was not.

    Attributes
    ----------
    folders : list of str
        To search for modules before the container's own.
    replaced : tuple of str
        What serves in the place of a pin: ``torch 2.13.0 for torch==2.3.0``.
    """

    folders: list[str]
    replaced: tuple[str, ...]


def pins_that_may_give_way(
    text: str, allowed: Allowed, installed: Installed = installed_version
) -> dict[str, Pin]:
    """Find the lines that are nothing but an exact version of what the container has.

    Such a line is ``name==version`` with no other specifier and no extras, the only one
    for its package (the very same line twice counts once), and the container has the
    package in a version that is allowed.

    Parameters
    ----------
    text : str
        A requirements file in which `check_requirements` found no fault.
    allowed : mapping
        As `read_allowed` returns it.
    installed : callable
        Gives an installed version by PEP 503 name, or None.

    Returns
    -------
    dict of str to Pin
        By the requirement, as `check_requirements` returns it, in the file's order.
    """
    lines: dict[NormalizedName, list[Requirement]] = defaultdict(list)
    for requirement in requirements_here(text):
        lines[canonicalize_name(requirement.name)].append(requirement)
    found = {}
    for name, asked in lines.items():
        first = asked[0]
        version = installed(name)
        specifiers = list(first.specifier)
        alike = all(other.specifier == first.specifier for other in asked)
        extras = any(other.extras for other in asked)
        if not alike or extras or len(specifiers) != 1 or version is None:
            continue
        (pin,) = specifiers
        if pin.operator != "==" or pin.version.endswith(".*"):
            continue
        if not holds(first.specifier, version) and holds(allowed[name], version):
            # The same line may be spelled in several ways.
            for requirement in asked:
                found[bounded(requirement, allowed)] = Pin(first.name, pin.version, version)
    return found


def install(
    text: str,
    allowed: Allowed,
    allowed_file: Path,
    scratch: Path,
    wheels: Path | None,
    left: Callable[[], float],
) -> Installation:
    """Install what a submission asks for and the container lacks, as far as it can be had.

    Where not all can be installed together, every pin that may give way is tried alone.
    Those that cannot be had are dropped; if the others contradict each other, all are.

    Parameters
    ----------
    text : str
        The submission's requirements file.
    allowed : mapping
        As `read_allowed` returns it.
    allowed_file, scratch, wheels
        As `mimicry.ingestion.overlay.install` takes them.
    left : callable
        Gives the seconds that are left.

    Raises
    ------
    SubmissionError
        ``requirements``: a line is at fault; ``requirements-install``: what is no such pin
        cannot be installed.
    """
    missing = check_requirements(text, allowed)
    if not missing:
        return Installation([], ())
    where = f"from {wheels.name}/" if wheels is not None else "from the package index"
    print(f"installing {where}: {', '.join(missing)}", flush=True)
    pins = pins_that_may_give_way(text, allowed)

    def attempt(chosen: list[str], share: float = 1.0) -> list[str]:
        if not chosen:
            return []
        return overlay.install(chosen, allowed_file, scratch, wheels, share * max(0.0, left()))

    try:
        return Installation(attempt(missing, FIRST_SHARE if pins else 1.0), ())
    except SubmissionError as failure:
        if not pins or left() <= 0:
            raise
        print(failure, flush=True)
    had = overlay.installable(list(pins), allowed_file, scratch, wheels, left)
    if 0 < len(had) < len(pins):
        chosen = [line for line in missing if line in had or line not in pins]
        dropped = [pin for line, pin in pins.items() if line not in had]
        try:
            folders = attempt(chosen, FIRST_SHARE)
        except SubmissionError as failure:
            if left() <= 0:
                raise
            print(failure, flush=True)
        else:
            return _told(folders, dropped)
    folders = attempt([line for line in missing if line not in pins])
    return _told(folders, list(pins.values()))


def with_replacements(failure: MimicryError, replaced: tuple[str, ...]) -> MimicryError:
    """Add to an error that may come from other versions which ones these are."""
    if not replaced or failure.code not in _VERSION_ERRORS:
        return failure
    shown = "; ".join(replaced[:SHOWN_REPLACEMENTS])
    more = len(replaced) - SHOWN_REPLACEMENTS
    return type(failure)(
        failure.code,
        f"{failure.sentence} Versions of requirements.txt that could not be installed gave way: "
        f"{shown}" + (f"; and {more} more." if more > 0 else "."),
    )


def _told(folders: list[str], dropped: list[Pin]) -> Installation:
    # Another package may have pulled in a version of its own.
    pulled_in = {
        canonicalize_name(distribution.name): distribution.version
        for distribution in (metadata.distributions(path=folders) if folders else ())
    }
    replaced = tuple(
        pin.told(pulled_in.get(canonicalize_name(pin.name))) for pin in dict.fromkeys(dropped)
    )
    print(f"using what can be had: {'; '.join(replaced)}", flush=True)
    return Installation(folders, replaced)
