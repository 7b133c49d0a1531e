"""Looks at a whole bundle, a folder or a zip, and tells everything at once."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mimicry.codabench.competition import describe_competition, list_competitions
from mimicry.codabench.reading.document import UNPACK_LOG, Document
from mimicry.codabench.reading.yaml_file import LARGEST_FILE, parse_document
from mimicry.codabench.validation.columns import check_columns
from mimicry.codabench.validation.container import (
    COMPETITION_FILE,
    check_damage,
    check_listing,
    check_own_name,
    check_root,
)
from mimicry.codabench.validation.context import Context
from mimicry.codabench.validation.data import check_data
from mimicry.codabench.validation.downloads import check_downloads
from mimicry.codabench.validation.finding import ERROR, WARNING, Finding, Notes
from mimicry.codabench.validation.leaks import check_leaks
from mimicry.codabench.validation.pages import check_pages
from mimicry.codabench.validation.picture import check_picture
from mimicry.codabench.validation.programs import check_programs
from mimicry.codabench.validation.realign import check_realign
from mimicry.codabench.validation.sealed import check_sealed
from mimicry.codabench.validation.source import SourceError, ZipSource
from mimicry.codabench.validation.traps import check_traps
from mimicry.codabench.validation.tree import FolderTree, Tree, ZipTree


@dataclass(frozen=True)
class Report:
    """What a validation found.

    Attributes
    ----------
    bundle : str
        The folder or zip.
    checked : tuple of str
        The competition files that were looked at.
    findings : tuple of Finding
        By file and line.
    unread : tuple of str
        What was too large to be looked at.
    """

    bundle: str
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    unread: tuple[str, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.level == ERROR for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return sum(finding.level == WARNING for finding in self.findings)

    @property
    def counts(self) -> str:
        """The numbers of both, in words."""
        return ", ".join(
            f"{count} {word}{'' if count == 1 else 's'}"
            for count, word in ((self.errors, "error"), (self.warnings, "warning"))
        )

    def to_json(self) -> str:
        """Return the report as JSON."""
        content = {
            "bundle": self.bundle,
            "ok": not self.errors,
            "checked": self.checked,
            "findings": [asdict(finding) for finding in self.findings],
            "not_looked_at": self.unread,
        }
        return json.dumps(content, indent=2, ensure_ascii=False)


def validate_bundle(path: Path, ids: Sequence[str] | None = None) -> Report:
    """Look at everything in a bundle that decides how the platform takes it.

    Nothing is run or unpacked. Never raises for what is in the bundle.

    Parameters
    ----------
    path : Path
        A folder that holds ``competition.yaml``, or the zip to upload.
    ids : sequence of str, optional
        Competitions of a folder, as listed by `list_competitions`; all by default.
    """
    notes = Notes()
    checked = _validate_folder(path, ids, notes) if path.is_dir() else _validate_zip(path, notes)
    return Report(str(path), checked, notes.sorted(), tuple(notes.unread))


def _validate_folder(root: Path, ids: Sequence[str] | None, notes: Notes) -> tuple[str, ...]:
    tree = FolderTree(root)
    names = tree.names(".")
    inside = [f"{name}/{COMPETITION_FILE}" for name in names]
    nested = [name for name in inside if tree.kind(name) == "file"]
    if not check_root([*names, *nested], root.name, notes, zipped=False):
        return ()
    files = list_competitions(root)
    chosen = [files[id] for id in (files if ids is None else ids)]
    hidden = root / "competitions" / f"{next(iter(files))}.yaml"
    if hidden.exists() and ids is None:
        notes.add(
            ERROR,
            "competition-id-taken",
            f"competitions/{hidden.name}",
            "this file has the id of the root's competition.yaml",
            "Knows nothing of ids; `mimicry pack` and `mimicry run` cannot tell the two apart.",
            "rename it",
        )
    return _validate_tree(tree, [path.relative_to(root).as_posix() for path in chosen], notes)


def _validate_zip(path: Path, notes: Notes) -> tuple[str, ...]:
    check_own_name(path, notes)
    with path.open("rb") as file:
        try:
            source = ZipSource(file)
        except SourceError as error:
            bad = str(error).startswith("is no zip")
            notes.add(
                ERROR,
                "not-a-zip" if bad else "zip-too-many",
                path.name,
                f"the file {error}",
                '"Bad zip file uploaded."' if bad else "Unpacks it, if its disk and time suffice.",
                "make it anew with `mimicry pack`, or zip the contents of the bundle's folder"
                if bad
                else "put data sets of many files into zips of their own",
            )
            return ()
        check_listing(path, source, notes)
        check_damage(path, source, notes)
        if not check_root(list(source.entries), path.name, notes, zipped=True):
            return ()
        return _validate_tree(ZipTree(source), [COMPETITION_FILE], notes)


def _validate_tree(tree: Tree, names: Sequence[str], notes: Notes) -> tuple[str, ...]:
    context = Context(tree, notes)
    try:
        for name in names:
            _validate_competition(context, name)
    finally:
        tree.close()
    return tuple(names)


def _validate_competition(context: Context, name: str) -> None:
    try:
        raw = context.tree.read(name, LARGEST_FILE + 1)
    except SourceError as error:
        context.notes.add(
            ERROR,
            "yaml-unreadable",
            name,
            f"the file {error}",
            f'"{UNPACK_LOG} ..." with an exception.',
            "put a readable file there",
        )
        return
    document = parse_document(raw, name)
    competition = describe_competition(document, Path("/"), Path("/", name), name)
    if document.readable:
        _look_at_files(context, document)
    if competition is not None and document.sound(("leaderboards",)):
        check_columns(context, document, competition)
    if competition is not None and document.sound(("tasks",)) and document.sound(("phases",)):
        check_realign(context, document, competition)
    context.notes.take(document)


def _look_at_files(context: Context, document: Document) -> None:
    check_picture(context, document)
    check_pages(context, document)
    check_data(context, document)
    check_programs(context, document)
    check_traps(context, document)
    check_sealed(context, document)
    check_leaks(context, document)
    check_downloads(context, document)
