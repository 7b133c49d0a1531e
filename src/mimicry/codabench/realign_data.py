"""Reference data of Re-Align's boards, against their program, their public files, each other.

A board whose phases were built from different lists or rules takes every submission and
scores none, so this is looked at before anything is uploaded.
"""

import errno
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mimicry.codabench.scratch import scratch_folder
from mimicry.codabench.validation.programs import read_scripts
from mimicry.codabench.validation.source import (
    FolderSource,
    PartSource,
    Source,
    SourceError,
    ZipSource,
)
from mimicry.errors import BundleError
from mimicry.realign.rules import LARGEST_RULES, RULES_NAME, Team

# Matrices are read whole up to this, all of one data set together; of larger ones, and of
# activations, shapes and sizes alone are looked at.
LARGEST_MATRICES = 500 * 1000**2
LARGEST_LIST = 256 * 1024**2
MOST_ARRAYS = 2_000
REMEDIES: Mapping[Team, str] = {
    "blue": "build both phases with the same registry, count and rule (`mimicry realign build "
    "blue`)",
    "red": "build both phases with the same catalogue and count (`mimicry realign build red`)",
}

_HEADER = 128 * 1024
_LISTS: Mapping[Team, str] = {"blue": "registry.json", "red": "catalogue.jsonl"}
_MATRICES = frozenset({"cka.npy", "cka_unbiased.npy"})
_ANEW = re.compile(r"[.;]? (?:search it and )?[Bb]uild (the reference data|them) anew\.?$")
_OURS = re.compile(rb"^from mimicry\.realign\.program import main\b", re.MULTILINE)
_TEAM = re.compile(rb"\bmain\(\s*[\"'](blue|red)[\"']")


class PhaseData(NamedTuple):
    """Data of one phase of a Re-Align competition, and what sentences call them."""

    team: Team
    reference: Source
    shown: str
    public: Source | None
    public_shown: str


class DataFault(NamedTuple):
    """What is wrong: in which of the phases, from 0, a stable code, words, and the remedy."""

    at: int
    code: str
    problem: str
    mend: str


class _Content(NamedTuple):
    """What the phases of a board share: the rules without secrets, and the list's bytes."""

    rules: tuple[object, ...]
    list: tuple[object, ...]


def team_of_program(program: FolderSource | PartSource | ZipSource) -> Team | None:
    """Return whose board a scoring program of this project scores; None for any other."""
    for _, source in read_scripts(program):
        found = _TEAM.search(source) if _OURS.search(source) else None
        if found is not None:
            return "red" if found[1] == b"red" else "blue"
    return None


def team_of_folder(program: Path) -> Team | None:
    """Return whose board the scoring program in a folder scores; None for any other."""
    try:
        return team_of_program(FolderSource(program)) if program.is_dir() else None
    except (SourceError, OSError, BundleError):
        return None


def team_of_data(names: Mapping[str, object]) -> Team | None:
    """Return whose board reference data are for, by their files; None for other data."""
    if RULES_NAME not in names:
        return None
    return "red" if _LISTS["red"] in names else "blue"


def team_of_public(name: str) -> Team | None:
    """Return whose public data lie at a path of a bundle by default; None for another path."""
    return {f"public_data/{team}": team for team in _LISTS}.get(name)


def check_phases(phases: Sequence[PhaseData]) -> tuple[list[DataFault], list[str]]:
    """Check the reference data of the phases of a competition.

    Each is read by the functions that scoring uses; its rules must be of the team whose
    program scores, its public part that of the phase's public data, and of all phases of
    a team the same. Values of activations are not read.

    Returns
    -------
    list of DataFault
        With the codes of `mimicry.realign.reference`, `data-zip`, `public-data-differ`.
    list of str
        What was too large to be read.

    Raises
    ------
    BundleError
        `temporary-folder`.
    """
    faults: list[DataFault] = []
    unread: list[str] = []
    sound: list[tuple[int, _Content]] = []
    for at, phase in enumerate(phases):
        mend = REMEDIES[phase.team]
        with scratch_folder() as folder:
            try:
                content = _read(phase, folder, unread)
            except BundleError as error:
                problem = _ANEW.sub("", error.sentence).rstrip(".")
                faults.append(DataFault(at, error.code, problem, mend))
                continue
        with scratch_folder() as folder:
            differs = _public_difference(phase, content, folder)
        if differs:
            faults.append(DataFault(at, "public-data-differ", differs, mend))
            continue
        for other, found in sound:
            what = _difference(content, found, phase.team)
            if phases[other].team == phase.team and what:
                problem = f"its {what} and that of {phases[other].shown} differ"
                faults.append(DataFault(at, "public-data-differ", problem, mend))
                break
        sound.append((at, content))
    return faults, unread


def _read(phase: PhaseData, folder: Path, unread: list[str]) -> _Content:
    """Read one data set, laid out in `folder` without what is not looked at."""
    from mimicry.realign import reference

    source, team = phase.reference, phase.team
    names = set(source.entries)
    matrices = sum(source.entries[name].size for name in names & _MATRICES)
    _lay(source, RULES_NAME, folder, LARGEST_RULES + 1)
    _lay(source, _LISTS[team], folder, LARGEST_LIST)
    if team == "blue":
        rules, registry = reference.read_blue_lists(folder)
        content = _Content((rules.rule, rules.count, rules.threshold), registry.entries)
        if matrices > LARGEST_MATRICES:
            unread.append(f"{phase.shown}: its matrices are large and were not read")
            return content
        for name in sorted(_MATRICES):
            _lay(source, name, folder, LARGEST_MATRICES)
        _lay(source, reference.REPLICATES_NAME, folder, _HEADER)
        reference.read_blue_reference(folder)
        return content
    red_rules, catalogue = reference.read_red_lists(folder)
    content = _Content((red_rules.count,), tuple(catalogue.stimuli))
    if red_rules.activations is not None:
        return content
    start = f"{reference.MODELS_FOLDER}/"
    arrays = [n for n in names if n.startswith(start) and n.count("/") == 1]
    if len(arrays) > MOST_ARRAYS:
        unread.append(f"{phase.shown}: its {len(arrays):,} arrays were not read")
        return content
    for name in arrays:
        _lay(source, name, folder, _HEADER)
    reference.read_red_reference(folder, folder)
    return content


def _lay(source: Source, name: str, folder: Path, limit: int) -> None:
    """Copy the beginning of a file; what is beyond `limit` bytes becomes a hole."""
    if name not in source.entries:
        return
    path, size = folder / name, source.entries[name].size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(source.read(name, min(limit, size)))
            file.truncate(size)
    except (SourceError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            # This machine's fault; a size that no file can have is the data's.
            raise
        reason = str(error) if isinstance(error, SourceError) else "cannot be unpacked"
        raise BundleError("data-zip", f"{name} of the reference data {reason}.") from None


def _public_difference(phase: PhaseData, content: _Content, folder: Path) -> str | None:
    """Return words about public files that are not those of the reference data."""
    if phase.public is None:
        return None
    for name in (RULES_NAME, _LISTS[phase.team]):
        if name not in phase.public.entries or _same_bytes(phase, name):
            continue
        shown = f"{phase.public_shown}/{name}"
        try:
            _lay(phase.public, name, folder, LARGEST_LIST)
            found = _parsed(folder, name, phase.team)
        except BundleError:
            return f"{shown} cannot be read as what the reference data were built with"
        if found != (content.rules if name == RULES_NAME else content.list):
            return f"{shown} is not that of the reference data"
    return None


def _same_bytes(phase: PhaseData, name: str) -> bool:
    assert phase.public is not None
    ours, theirs = phase.reference.entries[name], phase.public.entries[name]
    if ours.size != theirs.size or ours.size > LARGEST_LIST:
        return False
    try:
        return phase.reference.read(name, LARGEST_LIST) == phase.public.read(name, LARGEST_LIST)
    except SourceError:
        return False


def _parsed(folder: Path, name: str, team: Team) -> tuple[Any, ...]:
    from mimicry.activations.stimuli import read_catalogue
    from mimicry.realign.registered import read_blue_registry
    from mimicry.realign.rules import read_blue_rules, read_red_rules

    if name != RULES_NAME:
        path = folder / name
        return read_blue_registry(path).entries if team == "blue" else read_catalogue(path)
    if team == "red":
        return (read_red_rules(folder).count,)
    rules = read_blue_rules(folder)
    return (rules.rule, rules.count, rules.threshold)


def _difference(one: _Content, other: _Content, team: Team) -> str | None:
    if one.rules != other.rules:
        return RULES_NAME
    return _LISTS[team] if one.list != other.list else None
