"""The secret key of sealed reference data: where it lies, and what a key file holds."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.scoring.output import tell

KEY_NAME = "mimicry.key"
KEY_VARIABLE = "MIMICRY_KEY_FILE"
IMAGE_KEY = Path("/etc/mimicry", KEY_NAME)

LARGEST_KEY = 64 * 1024
MOST_KEYS = 100

_IDENTITY = "AGE-SECRET-KEY-1"
_STEP = 0.1


def parse_keys(content: bytes) -> tuple[Any, ...]:
    """Return the identities of a key file, as ``age-keygen`` writes it.

    Raises
    ------
    BundleError
        ``seal-key-unreadable`` where a line is neither an identity nor a comment, or there
        is none or more than 100; ``seal-library``. Nothing of the content is repeated.
    """
    pyrage = load_library()
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise _unreadable("is no text") from None
    wanted = [line for line in lines if line and not line.startswith("#")]
    if not 0 < len(wanted) <= MOST_KEYS:
        raise _unreadable(f"holds {'more than 100 keys' if wanted else 'no key'}")
    keys = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(pyrage.x25519.Identity.from_str(line))
        except pyrage.IdentityError:
            raise _unreadable(f"has no key ({_IDENTITY}...) in line {number}") from None
    return tuple(keys)


def load_library() -> Any:
    """Return the library that knows the format.

    Raises
    ------
    BundleError
        ``seal-library`` where the container lacks it.
    """
    try:
        import pyrage
    except ImportError:
        raise BundleError(
            "seal-library",
            "The reference data are sealed, and the container's image lacks the library that "
            "opens them (pyrage). Name an image that has it, as a current `make image` builds.",
        ) from None
    return pyrage


def find_keys(data: Path | None, wait: float) -> tuple[Any, ...]:
    """Return the identities of the first key file that is there.

    Parameters
    ----------
    data : Path or None
        What stands for ``/app/data``.
    wait : float
        Seconds to wait for a key that is not there yet.

    Raises
    ------
    BundleError
        ``seal-key-missing``, and what `parse_keys` finds.
    """
    load_library()
    named = os.environ.get(KEY_VARIABLE)
    on_worker = [] if data is None else [data / KEY_NAME]
    places = [Path(named)] if named else [*on_worker, IMAGE_KEY]
    begun, told = time.monotonic(), False
    while True:
        try:
            return _read_keys(places, by_variable=bool(named))
        except BundleError:
            # A key that is being copied may be empty for a moment.
            if time.monotonic() - begun >= wait:
                raise
        if not told:
            tell(f"The key of the sealed reference data is not here; waiting {wait:g} s for it")
            told = True
        time.sleep(_STEP)


def _read_keys(places: Sequence[Path], *, by_variable: bool) -> tuple[Any, ...]:
    for place in places:
        try:
            return parse_keys(read_regular_file(place, LARGEST_KEY))
        except UnusableFile as fault:
            if str(fault) != "is missing":
                hint = " (it must belong to the container's user, root as a rule)"
                raise _unreadable(f"{fault}{hint if 'opened' in str(fault) else ''}") from None
    where = (
        f"the file that {KEY_VARIABLE} names is not there"
        if by_variable
        else f"there is no /app/data/{KEY_NAME} and no {IMAGE_KEY}"
    )
    raise BundleError(
        "seal-key-missing",
        f"The reference data are sealed, and the key is not here: {where}. The organiser must run "
        "this on a worker that has the key (in a dry run: --worker-data FOLDER_WITH_KEY).",
    )


def _unreadable(what: str) -> BundleError:
    return BundleError(
        "seal-key-unreadable",
        f"The reference data are sealed, and the key file {what}. Put the file there that "
        "`mimicry seal-key` or `age-keygen` wrote, with one AGE-SECRET-KEY-1 line or several.",
    )
