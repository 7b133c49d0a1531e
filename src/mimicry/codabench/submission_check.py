"""Everything that can be known about a submission before it is uploaded.

Reads files and runs none. What ingestion would refuse is judged by ingestion's own
functions, so that the check and the run cannot disagree.
"""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mimicry.codabench.engines.jobs import LARGEST_METADATA, METADATA_NAMES, parse_metadata
from mimicry.codabench.model_code import (
    LARGEST_SOURCE,
    Finding,
    import_findings,
    model_findings,
    parse_source,
)
from mimicry.codabench.scratch import scratch_folder
from mimicry.codabench.submission_zip import (
    MIB,
    ZIP_FAULTS,
    Member,
    damaged_member,
    is_folder,
    list_members,
    open_zip,
    zip_faults,
)
from mimicry.codabench.zips import folder_members
from mimicry.errors import EXIT_DONE, EXIT_SUBMISSION, SubmissionError
from mimicry.files import is_clutter
from mimicry.ingestion.requirements import (
    LARGEST_FILE,
    REQUIREMENTS_FILE,
    Allowed,
    check_requirements,
    installed_version,
    read_requirements,
)
from mimicry.ingestion.submission import MODEL_FILE, FoundModel, find_model

# What is read to find damage, so that a check of large weights stays quick.
DAMAGE_BUDGET = 128 * MIB
COPIED_IS_LARGE = 20 * MIB
MOST_SOURCES = 200
SOURCES_BUDGET = 8 * MIB
SHOWN = 3
SHOWN_REFUSED = 20

PLANTED = frozenset(
    {"predictions.csv", "predictions.txt", "ingestion.json", "participant.log"}
    | {"scores.json", "scores.txt", "score.json", "detailed_results.html"}
)
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".dill")
_BINARIES = (".so", ".pyd", ".dll", ".dylib", ".exe", ".pyc", ".whl")
_MAGICS = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


_REFUSED = Finding(
    "error",
    "submission-command-refused",
    "metadata has a command, and this competition grades no submission with one: remove the line "
    "`command` from it. The ingestion program loads model.py by itself.",
)


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes
    ----------
    submission : str
        The zip's or folder's name.
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    verdict : str
        What follows from any error, to stand behind the name.
    fine : str
        What stands there without errors.
    """

    submission: str
    findings: tuple[Finding, ...]
    verdict: str = "will not run"
    fine: str = "looks fine"

    @property
    def exit_code(self) -> int:
        """3 with any error, else 0."""
        return EXIT_SUBMISSION if self.count("error") else EXIT_DONE

    def count(self, level: str) -> int:
        """Return how many findings have this level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def summary(self) -> str:
        """One line with the verdict and the counts."""
        verdict = self.verdict if self.count("error") else self.fine
        counts = ", ".join(
            f"{self.count(level)} {level}{'' if self.count(level) == 1 else 's'}"
            for level in ("error", "warning", "note")
        )
        return f"{self.submission}: {verdict} ({counts})."


class _Source(Protocol):
    """A zip or a folder: its files, and the beginning of each."""

    members: list[Member]

    def read(self, name: str, limit: int) -> bytes: ...


class _FolderSource:
    def __init__(self, folder: Path) -> None:
        files, refused = folder_members(folder)
        self.folder = folder
        self.refused = refused
        self.members = [Member(name, path.stat().st_size) for name, path in files.items()]

    def read(self, name: str, limit: int) -> bytes:
        with (self.folder / name).open("rb") as file:
            return file.read(limit)


class _ZipSource:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members = list_members(archive)
        names = [entry.filename for entry in archive.infolist() if not is_folder(entry)]
        self._names = dict(zip((member.name for member in self.members), names, strict=True))

    def read(self, name: str, limit: int) -> bytes:
        try:
            with self._archive.open(self._names[name]) as file:
                return file.read(limit)
        except ZIP_FAULTS:
            # Reported once, as damage.
            return b""


def check_submission(
    submission: Path, allowed: Allowed | None, *, commands_refused: bool = False
) -> CheckReport:
    """Check a submission without running anything of it; never raises for what is in it.

    Parameters
    ----------
    submission : Path
        A zip, or a folder, which is judged as `mimicry pack-submission` would zip it.
    allowed : mapping or None
        The organiser's list of packages, or None where there is no bundle at hand.
    commands_refused : bool
        Whether the competition grades no submission with a command of its own.

    Raises
    ------
    BundleError
        `temporary-folder`.
    """
    findings = [
        _REFUSED if commands_refused and finding.code == "metadata-command" else finding
        for finding in _check(submission, allowed)
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.level])
    return CheckReport(submission.resolve().name, tuple(dict.fromkeys(findings)))


def _check(submission: Path, allowed: Allowed | None) -> Iterator[Finding]:
    if submission.is_dir():
        source = _FolderSource(submission)
        for refused in source.refused[:SHOWN_REFUSED]:
            yield Finding("error", refused.code, f"{refused.name[:100]}: {refused.reason}.")
        yield from _check_content(source, allowed)
        return
    if not submission.is_file():
        kind = "no plain file" if submission.exists() else "no such file or folder"
        yield Finding("error", "submission-missing", f"{submission}: {kind}; check the path.")
        return
    try:
        archive = open_zip(submission)
    except SubmissionError as error:
        yield Finding("error", error.code, error.sentence)
        return
    with archive:
        faults = zip_faults(submission, archive)
        yield from (Finding("error", fault.code, fault.sentence) for fault in faults)
        if any(fault.code == "too-many-files" for fault in faults):
            return
        if {"zip-encrypted", "zip-method"} & {fault.code for fault in faults}:
            # Nothing in it can be read, so there is nothing more to tell.
            return
        damaged, complete = damaged_member(archive, DAMAGE_BUDGET)
        if damaged is not None:
            yield Finding(
                "error", "damaged-zip", f"{damaged!r} in the zip is damaged; make it anew."
            )
        elif not complete:
            yield Finding("note", "not-all-read", "Large files were not read through for damage.")
        yield from _check_content(_ZipSource(archive), allowed)
    if submission.suffix.lower() != ".zip":
        yield Finding(
            "warning", "zip-name-ending", f"{submission.name} does not end in .zip; rename it."
        )


def _check_content(source: _Source, allowed: Allowed | None) -> Iterator[Finding]:
    members = {member.name: member.size for member in source.members if _is_safe(member.name)}
    clutter = [name for name in members if is_clutter(name)]
    if clutter:
        yield Finding(
            "note", "clutter", f"{len(clutter)} files of no use, such as {clutter[0]}, are inside."
        )
    real = [name for name in members if name not in set(clutter)]
    if not real:
        yield Finding(
            "error", "empty-submission", "The submission holds no file; put model.py into it."
        )
        return
    yield from _metadata_findings(source, members)
    yield from _file_findings(source, members)
    with scratch_folder() as skeleton:
        _make_skeleton(source, members, skeleton)
        try:
            found = find_model(skeleton)
        except SubmissionError as error:
            yield Finding("error", error.code, error.sentence)
            return
        if found.wrapper is not None:
            yield Finding(
                "note",
                "wrapping-folder",
                f"Everything lies in one folder, {found.wrapper}/; that is allowed.",
            )
        yield from _code_findings(source, members, found, allowed)


def _code_findings(
    source: _Source, members: dict[str, int], found: FoundModel, allowed: Allowed | None
) -> Iterator[Finding]:
    prefix = f"{found.wrapper}/" if found.wrapper else ""
    missing: list[str] = []
    try:
        text = read_requirements(found.folder)
        if allowed is None:
            if text.strip():
                yield Finding(
                    "note",
                    "requirements-unchecked",
                    "requirements.txt was not checked: no bundle here with the list of packages.",
                )
        else:
            missing = check_requirements(text, allowed, installed_version)
    except SubmissionError as error:
        yield Finding("error", error.code, error.sentence)
    if missing:
        yield Finding(
            "note",
            "requirements-missing",
            f"Would be installed at the start, inside the time limit: {', '.join(missing)}.",
        )
    shown = prefix + MODEL_FILE
    sources = [n for n in members if n.endswith(".py") and n != shown and not is_clutter(n)]
    budget = SOURCES_BUDGET
    for name in [shown, *sources[:MOST_SOURCES]]:
        if name != shown and members[name] > budget:
            continue
        budget -= members[name]
        parsed = parse_source(name, source.read(name, LARGEST_SOURCE + 1))
        if isinstance(parsed, Finding):
            yield parsed if name == shown else Finding("warning", parsed.code, parsed.sentence)
        elif name == shown:
            yield from model_findings(parsed, shown)
            own = {n.removeprefix(prefix).split("/")[0].removesuffix(".py") for n in members}
            expected = {word for text in missing for word in _names_of(text)}
            yield from import_findings(parsed, own, expected)


def _metadata_findings(source: _Source, members: dict[str, int]) -> Iterator[Finding]:
    name = next((name for name in METADATA_NAMES if name in members), None)
    planted = sorted(PLANTED & members.keys())
    if planted:
        yield Finding(
            "warning",
            "planted-output",
            f"{', '.join(planted)}: outputs are made by the run; these are thrown away.",
        )
    if name is None:
        total = sum(members.values())
        large = total > COPIED_IS_LARGE
        yield Finding(
            "warning" if large else "note",
            "no-metadata",
            f"No file `metadata` at the root: the platform copies the whole submission "
            f"({_amount(total)}) into the outputs of every task; an empty one prevents that.",
        )
        return
    metadata = parse_metadata(name, source.read(name, LARGEST_METADATA + 1))
    if metadata.command is not None:
        yield Finding(
            "warning",
            "metadata-command",
            f"{name} has a command: the platform runs it as a program of its own before the "
            "model, and its outputs are thrown away. Remove the line.",
        )
    elif metadata.problem is not None and "not YAML" in metadata.problem:
        yield Finding("note", "metadata-invalid", f"{name} is no valid YAML; it counts as empty.")


def _file_findings(source: _Source, members: dict[str, int]) -> Iterator[Finding]:
    total, largest = sum(members.values()), max(members, key=lambda name: members[name])
    yield Finding(
        "note",
        "size",
        f"{len(members)} file{'' if len(members) == 1 else 's'}, {_amount(total)} unpacked; "
        f"the largest is {largest} ({_amount(members[largest])}).",
    )
    pickles = [name for name in members if name.lower().endswith(_PICKLES)]
    if pickles:
        yield Finding(
            "note",
            "pickle",
            f"{_some(pickles)}: pickled files run code when they are loaded and depend on "
            "versions; safetensors or npz do not.",
        )
    binaries = [
        name
        for name in list(members)[:2000]
        if name.lower().endswith(_BINARIES) or source.read(name, 4).startswith(_MAGICS)
    ]
    if binaries:
        yield Finding(
            "warning",
            "binary",
            f"{_some(binaries)}: compiled files may not run in the container, and nobody can "
            "review them.",
        )


def _make_skeleton(source: _Source, members: dict[str, int], folder: Path) -> None:
    """Make empty files and folders as ingestion's own look-up will see them."""
    for name in members:
        parts = name.split("/")
        with suppress(OSError):
            if len(parts) == 1:
                (folder / name).touch()
                continue
            (folder / parts[0]).mkdir(exist_ok=True)
            if len(parts) == 2 and parts[1] == MODEL_FILE:
                (folder / name).touch()
    for name in [n for n in members if n.split("/")[-1] == REQUIREMENTS_FILE]:
        with suppress(OSError):
            # Only where its folder is part of the skeleton.
            (folder / name).write_bytes(source.read(name, LARGEST_FILE + 1))


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    return (
        bool(name)
        and not {"", ".", ".."} & set(parts)
        and not any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in name)
    )


def _names_of(requirement: str) -> set[str]:
    """Return the import names that a requirement may stand for, roughly."""
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    name = requirement[:end].lower()
    return {name, name.replace("-", "_"), *name.split("-")}


def _amount(size: int) -> str:
    """Return a size in bytes for people."""
    for unit, factor in (("MiB", MIB), ("KiB", 1024)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
