"""What scoring computes with, as words of its first line that can be read back."""

import platform
import re
from importlib import metadata

LIBRARIES = ("numpy", "pillow", "scikit-learn", "scipy")

_START = "; computing with "
_ONE = re.compile(r"([a-z][a-z-]{0,30}) ([0-9A-Za-z][0-9A-Za-z.+!_-]{0,59})", re.ASCII)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that scores depend on, of those that are here."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def versions_words() -> str:
    """Return the words that end a scoring program's first line."""
    found = {"python": platform.python_version(), **library_versions()}
    return _START + ", ".join(f"{name} {version}" for name, version in found.items())


def read_versions(output: str) -> dict[str, str]:
    """Return what the first line of a scoring program's output says; empty without a word."""
    first = next(iter(output.splitlines()), "")
    named = (_ONE.fullmatch(part) for part in first.rpartition(_START)[2].split(", "))
    known = {"python", *LIBRARIES}
    return {one[1]: one[2] for one in named if one is not None and one[1] in known}
