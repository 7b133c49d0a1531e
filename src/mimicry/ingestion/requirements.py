"""A submission's ``requirements.txt``: what it may ask for and what is missing.

Nothing here installs anything; `mimicry.ingestion.pins` does, with `mimicry.ingestion.overlay`.
"""

import re
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mimicry.errors import BundleError, SubmissionError, one_line

REQUIREMENTS_FILE = "requirements.txt"
LARGEST_FILE = 64 * 1024
SHOWN_FAULTS = 20
# Longer ones are no package names, and numbers of thousands of digits trip parsers.
LONGEST_LINE = 300

# A comment begins at the line's start or after white space, as pip has it.
_COMMENT = re.compile(r"(^|(?<=\s))#.*$")
# Names under which people know a package that is registered under another one.
_KNOWN_AS = {
    "pytorch": "torch",
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "opencv-python": "opencv-python-headless",
    "open-clip": "open-clip-torch",
    "skimage": "scikit-image",
}

Allowed = Mapping[str, SpecifierSet]
Installed = Callable[[str], str | None]


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def read_allowed(path: Path) -> Allowed:
    """Read the organiser's list of packages that submissions may ask for.

    One PEP 508 requirement a line (``torch>=2.2,<3``), comments and blank lines
    ignored. A name without versions allows every version.

    Returns
    -------
    mapping of str to SpecifierSet
        From the PEP 503 name to the allowed versions.

    Raises
    ------
    BundleError
        ``allowed-packages``: the file is missing or a line is not a plain requirement.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            "allowed-packages",
            f"{path.name} cannot be read: {error}. Put it in the program's folder.",
        ) from error
    allowed: dict[str, SpecifierSet] = {}
    for number, line in _logical_lines(text):
        shown = one_line(line, 80)
        try:
            if len(line) > LONGEST_LINE:
                raise InvalidRequirement(f"it is longer than {LONGEST_LINE} characters")
            requirement = Requirement(line)
        except (InvalidRequirement, RecursionError) as error:
            raise BundleError(
                "allowed-packages",
                f"{path.name}, line {number}: '{shown}' is not a requirement ({error}). "
                "Write one as name>=lower,<upper.",
            ) from error
        name = canonicalize_name(requirement.name)
        if requirement.url or requirement.extras or requirement.marker or name in allowed:
            raise BundleError(
                "allowed-packages",
                f"{path.name}, line {number}: '{shown}' must be a name with versions only, "
                "and each name may stand once.",
            )
        allowed[name] = requirement.specifier
    return allowed


def read_requirements(folder: Path) -> str:
    """Return the text of the submission's ``requirements.txt``, or ``""`` without one.

    UTF-8 and, as some shells on Windows write it, UTF-16 with a byte order mark.

    Raises
    ------
    SubmissionError
        ``requirements-file``: too large, not text, or not a plain file.
    """
    path = folder / REQUIREMENTS_FILE
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise SubmissionError(
            "requirements-file", "requirements.txt must be a plain file, not a link or folder."
        )
    if not path.exists():
        return ""
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise SubmissionError(
            "requirements-file",
            f"requirements.txt is larger than {LARGEST_FILE // 1024} kB. "
            "List only the packages that the model imports.",
        )
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SubmissionError(
            "requirements-file",
            f"requirements.txt is not UTF-8 text (byte {error.start}). Save it as plain text.",
        ) from error
    if "\0" in text:
        raise SubmissionError(
            "requirements-file", "requirements.txt holds a NUL byte. Save it as plain text."
        )
    return text


def check_requirements(
    text: str, allowed: Allowed, installed: Installed = installed_version
) -> list[str]:
    r"""Return what has to be installed, after checking every line.

    Parameters
    ----------
    text : str
        The requirements file: PEP 508 lines, comments, blank lines, ``\`` at a
        line's end to go on. Lines whose marker does not hold here are skipped.
    allowed : mapping
        As `read_allowed` returns it.
    installed : callable
        Gives an installed version by PEP 503 name, or None.

    Returns
    -------
    list of str
        PEP 508 requirements that the container does not satisfy, in the file's
        order, for one call of pip; empty when there is nothing to do.

    Raises
    ------
    SubmissionError
        ``requirements``: one sentence that lists every line at fault.
    """
    missing: list[str] = []
    faults: list[str] = []
    for number, line in _logical_lines(text):
        try:
            missing += _check_line(line, allowed, installed)
        except _LineFaultError as fault:
            faults.append(f"line {number}: {fault}")
    if faults:
        shown = "; ".join(faults[:SHOWN_FAULTS])
        more = len(faults) - SHOWN_FAULTS
        raise SubmissionError(
            "requirements",
            f"requirements.txt: {shown}"
            + (f"; and {more} more" if more > 0 else "")
            + ". Mend these lines or remove them.",
        )
    return list(dict.fromkeys(missing))


def requirements_here(text: str) -> list[Requirement]:
    """Return the lines that count on this machine, of a file that `check_requirements` passed."""
    found = [Requirement(line) for _, line in _logical_lines(text)]
    return [requirement for requirement in found if _marker_holds(requirement)]


def bounded(requirement: Requirement, allowed: Allowed) -> str:
    """Write a requirement without its marker, its versions bounded by the allowed ones."""
    copy = Requirement(str(requirement))
    copy.marker = None
    copy.specifier &= allowed[canonicalize_name(copy.name)]
    return str(copy)


def holds(specifier: SpecifierSet, version: str) -> bool:
    """Tell whether a version is within bounds; one that is none never is."""
    try:
        return specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


class _LineFaultError(Exception):
    pass


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Join continued lines, drop comments and blanks; keep the first line's number."""
    lines: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            pending += raw[:-1]
            continue
        line = _COMMENT.sub("", pending + raw).strip()
        if line:
            lines.append((start, line))
        pending, start = "", 0
    if pending.strip():
        lines.append((start, _COMMENT.sub("", pending).strip()))
    return [entry for entry in lines if entry[1]]


def _check_line(line: str, allowed: Allowed, installed: Installed) -> list[str]:
    shown = one_line(line, 80)
    if len(line) > LONGEST_LINE:
        raise _LineFaultError(f"'{shown}' is longer than {LONGEST_LINE} characters")
    if line.startswith("-"):
        raise _LineFaultError(
            f"'{shown}' is an option of pip; only package names with versions count"
        )
    try:
        requirement = Requirement(line)
    except (InvalidRequirement, RecursionError) as error:
        raise _LineFaultError(f"'{shown}' is not a requirement such as numpy>=1.26") from error
    if requirement.url:
        raise _LineFaultError(
            f"'{shown}' names an address; only packages by name and version are allowed"
        )
    if requirement.marker is not None and not _marker_holds(requirement):
        return []
    name = canonicalize_name(requirement.name)
    if name not in allowed:
        hint = _KNOWN_AS.get(name)
        advice = f"; did you mean {hint}?" if hint in allowed else ""
        raise _LineFaultError(
            f"'{one_line(requirement.name, 80)}' is not on the list of allowed packages{advice}"
        )
    version = installed(name)
    if version is not None and holds(requirement.specifier, version):
        return _missing_extras(requirement, allowed, installed)
    if _cannot_both_hold(requirement.specifier, allowed[name]):
        here = f", the container has {version}" if version is not None else ""
        raise _LineFaultError(
            f"'{shown}' asks for a version that is not allowed "
            f"(allowed: {_shown(allowed[name])}{here})"
        )
    return [bounded(requirement, allowed)]


def _missing_extras(requirement: Requirement, allowed: Allowed, installed: Installed) -> list[str]:
    """Check what the extras of an installed package ask for."""
    missing: list[str] = []
    if not requirement.extras:
        return missing
    try:
        dependencies = metadata.requires(requirement.name) or []
    except metadata.PackageNotFoundError:
        return missing
    for extra in sorted(requirement.extras):
        for text in dependencies:
            dependency = Requirement(text)
            marker = dependency.marker
            if marker is None or marker.evaluate({"extra": ""}):
                continue
            if not marker.evaluate({"extra": extra}):
                continue
            version = installed(canonicalize_name(dependency.name))
            if version is not None and holds(dependency.specifier, version):
                continue
            name = canonicalize_name(dependency.name)
            if name not in allowed:
                raise _LineFaultError(
                    f"'{requirement.name}[{extra}]' needs {name}, "
                    "which is not on the list of allowed packages"
                )
            dependency.marker = None
            missing.append(str(dependency))
    return missing


def _marker_holds(requirement: Requirement) -> bool:
    try:
        return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except Exception as error:
        # packaging raises several kinds for comparisons that make no sense.
        raise _LineFaultError(f"the marker of '{requirement.name}' cannot be evaluated") from error


def _shown(specifier: SpecifierSet) -> str:
    """Write versions as people do, the lower bound first."""
    return ",".join(sorted(map(str, specifier), key=lambda part: part[0] != ">")) or "any"


def _cannot_both_hold(asked: SpecifierSet, allowed: SpecifierSet) -> bool:
    """Tell whether no version can satisfy both, where the bounds alone decide it.

    Every bound that appears, and a version just beside it, is tried; versions
    between two bounds behave like one of these. What is decided wrongly in
    favour (an allowed range without any release) pip reports later.
    """
    bounds = {"0", "1000000"}
    for specifier in [*asked, *allowed]:
        text = specifier.version.removesuffix(".*")
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        release = [*version.release]
        above = ".".join(map(str, [*release, 0, 1]))
        next_up = ".".join(map(str, [*release[:-1], release[-1] + 1]))
        lower = [*release[:-1], max(release[-1] - 1, 0), 9999]
        bounds |= {text, version.base_version, above, next_up, ".".join(map(str, lower))}
    return not any(holds(asked, bound) and holds(allowed, bound) for bound in bounds)
