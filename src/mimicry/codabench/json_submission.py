"""Re-Align's submissions before they are uploaded: one JSON file, a zip of one, a folder of many.

What scoring would refuse is judged by scoring's own functions, so that the check and the
run cannot disagree.
"""

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimicry.activations.stimuli import read_catalogue
from mimicry.codabench.engines.jobs import METADATA_NAMES
from mimicry.codabench.model_code import Finding
from mimicry.codabench.submission_check import CheckReport
from mimicry.codabench.submission_zip import (
    MOST_ENTRIES,
    ZIP_FAULTS,
    is_folder,
    list_members,
    open_zip,
    zip_faults,
)
from mimicry.codabench.zips import write_zip
from mimicry.errors import SubmissionError
from mimicry.files import is_clutter, sha256_file
from mimicry.realign.catalogue import (
    Catalogue,
    check_image_count,
    check_images,
    check_repeated_images,
)
from mimicry.realign.documents import (
    LARGEST_DOCUMENT,
    read_submission_bytes,
    submission_object,
    too_large,
)
from mimicry.realign.found import SUFFIX, json_names, the_one
from mimicry.realign.json_faults import quoted
from mimicry.realign.registered import (
    Registry,
    check_model_count,
    check_models,
    check_repeated_models,
    read_blue_registry,
)
from mimicry.realign.rules import RULES_NAME, BlueRules, RedRules, Team, read_rules
from mimicry.realign.submissions import (
    IMAGES_KEYS,
    MODELS_KEY,
    MOST_TOLD,
    Faults,
    read_blue,
    read_red,
    refuse_wrong_team,
    team_of,
)

if TYPE_CHECKING:
    from mimicry.codabench.packing import PackedZip

TEAM_FOLDERS: Mapping[str, Team] = {"blue_team_submissions": "blue", "red_team_submissions": "red"}
TEAM_FILE = re.compile(r"[a-z0-9_-]{1,64}\.json")
VERDICT = "will not be scored"

# What may lie beside a JSON file without making it a model's submission.
_BESIDE = (".md", ".txt", ".yaml", ".yml")


@dataclass(frozen=True)
class Known:
    """What is at hand to check names and counts against; read when first needed.

    Attributes
    ----------
    bundle : Path or None
        Its ``public_data/<team>/`` stands in for what is None below.
    registry_file, catalogue_file : Path or None
        The models and stimuli to choose from.
    asked : int or None
        How many models or stimuli to name.
    """

    bundle: Path | None = None
    registry_file: Path | None = None
    catalogue_file: Path | None = None
    asked: int | None = None

    @cached_property
    def registry(self) -> Registry | None:
        """The models to choose from, None if they are not at hand."""
        path = self.registry_file or self._public("blue", "registry.json")
        return None if path is None else read_blue_registry(path)

    @cached_property
    def catalogue(self) -> Catalogue | None:
        """The stimuli to choose from, None if they are not at hand."""
        path = self.catalogue_file or self._public("red", "catalogue.jsonl")
        return None if path is None else Catalogue(read_catalogue(path))

    def rules(self, team: Team) -> BlueRules | RedRules | None:
        """Return the public rules of a team's competition, None if there are none."""
        path = self._public(team, RULES_NAME)
        return None if path is None else read_rules(path.parent, team)

    def _public(self, team: Team, name: str) -> Path | None:
        if self.bundle is None:
            return None
        path = self.bundle / "public_data" / team / name
        return path if path.is_file() else None


def is_json_submission(path: Path) -> bool:
    """Tell whether a path is Re-Align's: a JSON file, or a zip or folder with such and no code.

    What cannot be read is not; checking it as a model's submission tells why.
    """
    if not path.is_dir() and path.suffix.lower() == SUFFIX:
        return True
    if path.is_dir() and path.resolve().name in TEAM_FOLDERS:
        return True
    names = [name.rpartition("/")[2].lower() for name in _names_in(path)]
    return any(name.endswith(SUFFIX) for name in names) and all(
        name.endswith((SUFFIX, *_BESIDE)) or name in {*METADATA_NAMES, "license", "readme"}
        for name in names
    )


def file_to_pack(path: Path) -> Path | None:
    """Return the JSON file that `path` is, or that it holds as a folder with no code.

    None for anything else, which is a model's submission.

    Raises
    ------
    SubmissionError
        ``no-json-file`` or ``several-json-files`` for such a folder.
    """
    if not path.is_dir():
        return path if path.suffix.lower() == SUFFIX else None
    return path / the_one(json_names(_names_in(path))) if is_json_submission(path) else None


def check_json_submission(path: Path, known: Known) -> CheckReport:
    """Check a JSON submission, or a folder of them; never raises for what is in it.

    Parameters
    ----------
    path : Path
        For which `is_json_submission` holds. In a folder of that name, or called after
        one's file, the rules of the pull-request road apply: whose team, and file names.
    known : Known
        What names and counts are checked against.

    Raises
    ------
    BundleError
        What reading the registry, the catalogue or the rules finds.
    """
    if path.is_dir():
        findings = list(_check_folder(path, known))
    elif path.suffix.lower() == SUFFIX:
        folder = path.resolve().parent.name
        findings = list(_check_file(path, TEAM_FOLDERS.get(folder), folder, known))
    else:
        findings = list(_check_zip(path, known))
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.level])
    kept = tuple(dict.fromkeys(findings))
    return CheckReport(path.resolve().name, kept, VERDICT, _fine(kept))


def pack_json_submission(path: Path, output: Path | None = None) -> "PackedZip":
    """Zip one JSON file alone, ready to upload.

    Parameters
    ----------
    path : Path
        The team's file, checked before.
    output : Path, optional
        The zip; ``dist/<file's name without .json>.zip`` by default.

    Raises
    ------
    SubmissionError
        ``json-unreadable`` or ``json-too-large``.
    BundleError
        `zip-unwritable`, `zip-broken`.
    """
    # Heavier than a check should be.
    from mimicry.codabench.packing import PackedZip

    target = output if output is not None else Path("dist") / f"{path.stem}.zip"
    members = {path.name: read_submission_bytes(path, path.name)}
    write_zip(target, members, compress=True, check=lambda archive: None)
    return PackedZip(target, sha256_file(target), target.stat().st_size, tuple(members), ())


def team_of_submission(path: Path) -> Team | None:
    """Return whose submission a JSON file, or a zip or folder of one, is; None if unclear."""
    try:
        if path.is_dir():
            if path.resolve().name in TEAM_FOLDERS:
                return TEAM_FOLDERS[path.resolve().name]
            path = path / the_one(json_names(_names_in(path)))
        if path.suffix.lower() == SUFFIX:
            return team_of(submission_object(read_submission_bytes(path, path.name), path.name))
        with open_zip(path) as archive:
            entries = [entry for entry in archive.infolist() if not is_folder(entry)]
            members = {m.name: e for m, e in zip(list_members(archive), entries, strict=True)}
            name = the_one(json_names(list(members)))
            return team_of(submission_object(_read_member(archive, members[name], name), name))
    except (SubmissionError, OSError):
        return None


def _fine(findings: tuple[Finding, ...]) -> str:
    """Return the verdict without errors: it must not praise what was not looked at."""
    codes = {finding.code for finding in findings}
    parts = {"names-unchecked": "names", "count-unchecked": "count"}
    unchecked = [word for code, word in parts.items() if code in codes]
    if not unchecked:
        return "looks fine"
    were = "was" if unchecked == ["count"] else "were"
    return f"form is fine; {' and '.join(unchecked)} {were} not checked"


def _names_in(path: Path) -> list[str]:
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries]
        else:
            with open_zip(path) as archive:
                names = [member.name for member in list_members(archive)]
    except (OSError, SubmissionError):
        return []
    if len(names) > MOST_ENTRIES:
        return []
    # Steps upwards are no clutter, though they begin with a dot.
    return [name for name in names if not is_clutter(name.replace("../", ""))]


def _check_folder(path: Path, known: Known) -> Iterator[Finding]:
    folder = path.resolve().name
    team = TEAM_FOLDERS.get(folder)
    names = sorted(_names_in(path))
    files = [name for name in names if name.lower().endswith(SUFFIX)]
    other = [name for name in names if name not in set(files) and name != "README.md"]
    if not files and team is None:
        yield Finding("error", "no-json-file", f"{folder} holds no JSON file (*.json).")
    elif not files:
        yield Finding("note", "no-json-file", f"{folder} holds no submission yet.")
    if other and team is not None:
        yield Finding(
            "warning",
            "stray-file",
            f"{folder} holds {len(other)} files that are no submissions, such as "
            f"{quoted(other[0])}; remove them.",
        )
    for name in files:
        yield from _check_file(path / name, team, folder, known)


def _check_file(path: Path, team: Team | None, folder: str, known: Known) -> Iterator[Finding]:
    if team is not None and not TEAM_FILE.fullmatch(path.name):
        yield Finding(
            "error",
            "team-file-name",
            f"{path.name}: in {folder} a file is called after its team, in a-z, 0-9, - and _, at "
            "most 64 of them, and ends in .json; rename it.",
        )
    try:
        data = read_submission_bytes(path, path.name)
    except SubmissionError as error:
        yield Finding("error", error.code, error.sentence)
        return
    yield from _check_data(data, path.name, team, known)


def _check_zip(path: Path, known: Known) -> Iterator[Finding]:
    with open_zip(path) as archive:
        faults = zip_faults(path, archive)
        yield from (Finding("error", fault.code, fault.sentence) for fault in faults)
        if faults:
            return
        members = {
            member.name: entry
            for member, entry in zip(
                list_members(archive),
                (entry for entry in archive.infolist() if not is_folder(entry)),
                strict=True,
            )
        }
        metadata = next((name for name in METADATA_NAMES if name in members), None)
        if metadata is not None:
            yield Finding(
                "error",
                "submission-metadata",
                f"{metadata}: with this file at its root the platform passes nothing of the zip "
                "on to scoring; remove it.",
            )
        try:
            name = the_one(json_names(list(members)))
            data = _read_member(archive, members[name], name)
        except SubmissionError as error:
            yield Finding("error", error.code, error.sentence)
            return
        yield from _check_data(data, name, None, known)
    if path.suffix.lower() != ".zip":
        yield Finding("warning", "zip-name-ending", f"{path.name} does not end in .zip; rename it.")


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    if entry.file_size > LARGEST_DOCUMENT:
        raise too_large(name)
    try:
        with archive.open(entry) as file:
            return file.read(LARGEST_DOCUMENT + 1)
    except ZIP_FAULTS:
        raise SubmissionError(
            "damaged-zip", f"{quoted(name)} in the zip is damaged; make it anew."
        ) from None


def _check_data(data: bytes, shown: str, team: Team | None, known: Known) -> Iterator[Finding]:
    try:
        document = submission_object(data, shown)
        if team is None:
            team = team_of(document)
        else:
            refuse_wrong_team(document, team, shown)
    except SubmissionError as error:
        yield Finding("error", error.code, error.sentence)
        return
    if team is None:
        keys = ", ".join(map(quoted, IMAGES_KEYS))
        yield Finding(
            "error",
            "team-unclear",
            f"{shown} has not one of the keys {quoted(MODELS_KEY)} (Blue) and {keys} (Red), or "
            "some of both; it must be one team's submission.",
        )
        return
    faults = Faults()
    notes = list((_check_blue if team == "blue" else _check_red)(document, shown, known, faults))
    told = faults.kept[:MOST_TOLD]
    for fault in told:
        yield Finding("error", fault.code, f"{shown}: {fault.sentence}.")
    if faults.count > len(told):
        more = faults.count - len(told)
        yield Finding("error", "more-faults", f"{shown}: and {more:,} more.")
    yield from notes


def _check_blue(
    document: Mapping[str, Any], shown: str, known: Known, faults: Faults
) -> Iterator[Finding]:
    submission = read_blue(document, faults)
    count, unchecked = _count(known, "blue", submission.named, shown)
    yield from unchecked
    if known.registry is None:
        yield _names_unchecked(shown, "registry")
        check_model_count(submission, count, faults)
        check_repeated_models(submission, faults)
    else:
        check_models(submission, known.registry, count, faults)
    yield Finding(
        "note", "blue", f"{shown}: a Blue team's submission of {submission.named} models."
    )


def _check_red(
    document: Mapping[str, Any], shown: str, known: Known, faults: Faults
) -> Iterator[Finding]:
    submission = read_red(document, faults)
    count, unchecked = _count(known, "red", submission.named, shown)
    yield from unchecked
    if known.catalogue is None:
        yield _names_unchecked(shown, "catalogue")
        check_image_count(submission, count, faults)
        check_repeated_images(submission, faults)
    else:
        check_images(submission, known.catalogue, count, faults)
    yield Finding(
        "note", "red", f"{shown}: a Red team's submission of {submission.named:,} stimuli."
    )


def _count(known: Known, team: Team, named: int, shown: str) -> tuple[int | None, list[Finding]]:
    """Return how many must be named; where nothing says so, as many as are."""
    if known.asked is not None:
        return known.asked, []
    rules = known.rules(team)
    if rules is not None:
        return rules.count, []
    text = f"{shown}: the count was not checked: no rules at hand; name it with --count N."
    return named, [Finding("note", "count-unchecked", text)]


def _names_unchecked(shown: str, missing: str) -> Finding:
    return Finding(
        "note",
        "names-unchecked",
        f"{shown}: the names were not checked: no {missing} at hand; name one with "
        f"--{missing} FILE.",
    )
