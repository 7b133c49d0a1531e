"""The zip itself, before anything in it is looked at."""

import stat
from pathlib import Path, PurePosixPath
from zipfile import ZipInfo

from mimicry.codabench.reading.document import UNPACK_LOG
from mimicry.codabench.submission_zip import is_folder
from mimicry.codabench.validation.finding import ERROR, WARNING, Notes, some
from mimicry.codabench.validation.source import METHODS, MIB, SourceError, ZipSource, normal
from mimicry.files import is_clutter

COMPETITION_FILE = "competition.yaml"
NOT_AT_ROOT = (
    '"competition.yaml is missing from zip, check your folder structure to make sure it is in '
    'the root directory."'
)
LARGEST_UNPACKED = 20 * 1024 * MIB
LARGEST_RATIO = 200
DAMAGE_BUDGET = 128 * MIB
RATIO_COUNTS_FROM = 256 * MIB

_ENCRYPTED = 0x1


def check_own_name(path: Path, notes: Notes) -> None:
    """Check the name of the zip that is uploaded."""
    if "private" in path.name.lower():
        notes.add(
            ERROR,
            "zip-name-private",
            path.name,
            "the zip's name holds the word \"private\", which the platform's storage trips over",
            f'"{UNPACK_LOG} ... 404 Client Error ... for url" (with the sample configuration, '
            "where the storage's bucket has that name).",
            "rename the zip",
        )


def check_root(names: list[str], shown: str, notes: Notes, *, zipped: bool) -> bool:
    """Tell whether ``competition.yaml`` is at the root, and note where it is instead."""
    if COMPETITION_FILE in names:
        return True
    by_case = {name.lower(): name for name in reversed(names)}
    other = by_case.get(COMPETITION_FILE) or by_case.get("competition.yml")
    nested = sorted(
        (name for name in names if PurePosixPath(name).name.lower() == COMPETITION_FILE),
        key=lambda name: name.count("/"),
    )
    nested = [name for name in nested if not is_clutter(name)]
    if other is not None:
        mend = f"rename {other!r} to {COMPETITION_FILE}"
    elif nested:
        folder = PurePosixPath(nested[0]).parent.as_posix()
        mend = (
            f"zip the contents of {folder!r} and not the folder: `cd {folder} && zip -r "
            "../bundle.zip .`"
            if zipped
            else f"name the folder that holds it, {folder!r}"
        )
    else:
        mend = f"put a {COMPETITION_FILE} at the root"
    notes.add(
        ERROR,
        "no-competition-yaml",
        shown,
        f"there is no {COMPETITION_FILE} at the root",
        NOT_AT_ROOT,
        mend,
    )
    return False


def check_listing(path: Path, source: ZipSource, notes: Notes) -> None:
    """Check the names and kinds of a bundle's entries; reads the listing only."""
    infos = source.infos

    def add(
        code: str, names: list[str], problem: str, platform: str, mend: str, level: str
    ) -> None:
        if names:
            text = f"{problem}: {some(names)}"
            notes.add(level, code, path.name, text, platform, mend)

    backslash = [info.orig_filename for info in infos if "\\" in info.orig_filename]
    add(
        "zip-backslash",
        backslash,
        "names with backslashes, which are no folders on the platform",
        'Refuses the bundle where such a file is named: "Cannot find dataset: ..." or "Unable to '
        'find page: ..."',
        "make the zip with another program, or with `mimicry pack`",
        ERROR,
    )
    outside = [
        info.filename
        for info in infos
        if info.filename.startswith("/") or ".." in info.filename.split("/")
    ]
    add(
        "zip-path-outside",
        outside,
        "absolute names, or names with `..`",
        "Unpacks them without the leading parts, so they are not where their name says.",
        "zip the contents of the bundle's folder: `cd bundle && zip -r ../bundle.zip .`",
        ERROR,
    )
    add(
        "zip-encrypted",
        [info.filename for info in infos if info.flag_bits & _ENCRYPTED],
        "encrypted files",
        f'"{UNPACK_LOG} ..." with the message that a password is required.',
        "zip without a password",
        ERROR,
    )
    add(
        "zip-method",
        [info.filename for info in infos if info.compress_type not in METHODS],
        "files compressed by another method than deflate, which are not looked at here",
        "Unpacks them if its Python can.",
        "make the zip with deflate, the usual method",
        WARNING,
    )
    add(
        "zip-link",
        [info.filename for info in infos if _is_link(info)],
        "symbolic links",
        "Unpacks each as a small text file that holds the link's target.",
        "put the files themselves into the zip",
        ERROR,
    )
    add(
        "zip-twice",
        _repeated(infos),
        "names that stand twice",
        "Keeps the last one in silence.",
        "remove one of the two",
        ERROR,
    )
    add(
        "zip-clutter",
        [info.filename for info in infos if is_clutter(normal(info.filename))],
        "an operating system's clutter",
        "Unpacks it without harm; what lies in a folder of a data set or program is shipped with "
        "it.",
        "leave it out: `zip -r bundle.zip . -x '.*' '*/.*' '__MACOSX/*'`, or use `mimicry pack`",
        WARNING,
    )
    _check_size(path, infos, notes)


def check_damage(path: Path, source: ZipSource, notes: Notes) -> None:
    """Compare checksums, the small files first, as far as `DAMAGE_BUDGET` goes."""
    damaged, budget = [], DAMAGE_BUDGET
    for name, entry in sorted(source.entries.items(), key=lambda pair: pair[1].size):
        if entry.size > budget:
            notes.skip(f"{path.name}: checksums of its largest files were not compared")
            break
        budget -= entry.size
        try:
            source.read(name, entry.size + 1)
        except SourceError as error:
            if str(error).startswith("is damaged"):
                damaged.append(name)
    if damaged:
        notes.add(
            ERROR,
            "zip-damaged",
            path.name,
            f"damaged files: {some(damaged)}",
            f'"{UNPACK_LOG} ..." with the message of the zip reader.',
            "make the zip anew",
        )


def _check_size(path: Path, infos: list[ZipInfo], notes: Notes) -> None:
    unpacked = sum(info.file_size for info in infos)
    size = max(path.stat().st_size, 1)
    bomb = unpacked > RATIO_COUNTS_FROM and unpacked > LARGEST_RATIO * size
    if unpacked > LARGEST_UNPACKED or bomb:
        notes.add(
            ERROR,
            "zip-too-large",
            path.name,
            f"the zip grows from {size / MIB:,.0f} to {unpacked / MIB:,.0f} MiB when it is "
            "unpacked",
            "Unpacks it on its own disk, within one hour, and stores it several times.",
            "remove what the competition does not need",
        )


def _is_link(info: ZipInfo) -> bool:
    # Only zips made on Unix (3) or macOS (19) keep such modes.
    return info.create_system in {3, 19} and stat.S_ISLNK(info.external_attr >> 16)


def _repeated(infos: list[ZipInfo]) -> list[str]:
    seen, twice = set[str](), []
    for info in infos:
        name = normal(info.filename)
        if not is_folder(info) and name in seen:
            twice.append(name)
        seen.add(name)
    return twice
