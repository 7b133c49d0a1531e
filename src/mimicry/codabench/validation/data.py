"""Whatever a competition file names as a data set, program or download."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from mimicry.codabench.reading.document import Document, Keys
from mimicry.codabench.reading.known_keys import PHASE_PATHS, TASK_PATHS
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.finding import ERROR, WARNING, some
from mimicry.codabench.validation.source import METHODS, MIB, SourceError, ZipSource
from mimicry.files import is_clutter

BLOCKED = (
    "Unpacks it; then every submission blocks a worker for about 3 minutes and ends Failed, "
    'with "Bad or empty zip file".'
)
DEFAULT_QUOTA = 15 * 1000**3
COPIES_COUNT_FROM = 1000**3

_ENCRYPTED = 0x1
_DEMO = re.compile(r"(input|reference)_data/(val|test)(_A|_mimic)?\.zip")
_TRAINING = "public_data/hybrids.zip"
_ZOO = re.compile(r"reference_data/(blue|red)_(development|final)\.zip|public_data/(blue|red)")


class Named(NamedTuple):
    """A path that a competition file names: where, in which role, and for which task."""

    keys: Keys
    role: str
    path: str

    @property
    def is_program(self) -> bool:
        """Whether a worker runs it."""
        return self.role.endswith("_program")

    @property
    def is_data(self) -> bool:
        """Whether a worker unpacks it as data."""
        return self.role.endswith("_data") and self.role != "public_data"


def named_paths(context: Context, document: Document) -> Iterator[Named]:
    """Yield every path of tasks, phases and solutions that has no fault of its own."""
    for place, roles in (
        ("tasks", TASK_PATHS),
        ("phases", PHASE_PATHS),
        ("solutions", ("path",)),
    ):
        for index, entry in entries(document, place):
            for role in roles:
                keys = (place, index, role)
                path = context.path(document, keys, entry.get(role))
                if path is not None:
                    yield Named(keys, role, path)


def entries(document: Document, place: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the mappings of a list at the top level, with their positions."""
    listed = document.data.get(place)
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(entry, dict):
            yield index, entry


def check_data(context: Context, document: Document) -> None:
    """Check that everything named is there, and is what a worker can open."""
    looked_at = set[str]()
    for named in named_paths(context, document):
        kind = context.tree.kind(named.path)
        if kind is None:
            _missing(context, document, named)
        elif named.is_data or named.is_program:
            if kind == "folder" and "/" not in named.path:
                _check_root_folder(context, document, named)
            _check_opens(context, document, named, kind, first=named.path not in looked_at)
            looked_at.add(named.path)
    _check_quota(context, document)


def _missing(context: Context, document: Document, named: Named) -> None:
    near = context.near(named.path)
    # The boards' names differ in a word; another board's data are never meant.
    alike = near is not None and not _ZOO.fullmatch(named.path)
    alike = alike and PurePosixPath(str(near)).suffix == PurePosixPath(named.path).suffix
    mend = f"write `{named.keys[-1]}: {near}`" if alike else "put it there, or correct the path"
    if not context.tree.zipped and named.path == _TRAINING:
        # Beside an organiser's own images the demo's would be refused, or replace them.
        mend += (
            f"; with data of your own: leave `{named.keys[-1]}` out, or `mimicry data build "
            "--split development=1,final=2,training=1` makes it; without: `mimicry data demo`"
        )
    elif not context.tree.zipped and _DEMO.fullmatch(named.path):
        mend += ", or make demo data with `mimicry data demo`"
    if not context.tree.zipped and _ZOO.fullmatch(named.path):
        mend += ", or make demo data with `mimicry data zoo`"
    context.notes.at(
        document,
        named.keys,
        "dataset-missing",
        f"there is no file or folder {named.path!r}",
        f'Refuses the bundle: "Cannot find dataset: "{named.path}""',
        mend,
    )


def _check_root_folder(context: Context, document: Document, named: Named) -> None:
    # `mimicry pack` puts programs one level deeper by itself.
    if named.is_program and not context.tree.zipped:
        return
    context.notes.at(
        document,
        named.keys,
        "folder-at-root",
        f"{named.path!r} is a folder at the bundle's root",
        "Zips it in a temporary folder that all bundles share, where another one that is unpacked "
        "at the same moment may have the same name.",
        f"zip its contents and write `{named.role}: {named.path}.zip`, or move it one folder down",
        level=WARNING,
    )


def _check_opens(
    context: Context, document: Document, named: Named, kind: str, *, first: bool
) -> None:
    notes, bare = context.notes, f"zip it by itself and write `{named.role}: "
    try:
        dataset = context.dataset(named.path)
    except SourceError as error:
        archive = PurePosixPath(named.path).with_suffix(".zip")
        if kind == "folder" or str(error).startswith(("holds", "is compressed", "cannot")):
            notes.skip(f"{named.path} {error}, and was not looked into")
        elif PurePosixPath(named.path).suffix.lower() != ".zip":
            code = "data-bare-file" if named.is_data else "program-bare-file"
            problem = f"{named.path!r} must be a .zip or a folder: a bare file breaks the worker"
            if not any(f.code == code and f.keys == named.keys for f in document.faults):
                notes.at(document, named.keys, code, problem, BLOCKED, f"{bare}{archive}`")
        else:
            mend = "make the zip anew"
            notes.at(document, named.keys, "data-no-zip", f"{named.path!r} {error}", BLOCKED, mend)
        return
    if not dataset.entries:
        problem = f"{named.path!r} holds no file"
        notes.at(document, named.keys, "data-empty", problem, BLOCKED, "put the files into it")
    elif first:
        _check_contents(context, named, dataset)


def _check_contents(context: Context, named: Named, dataset: Dataset) -> None:
    notes, path = context.notes, named.path
    for refused in dataset.refused[:20]:
        notes.add(
            ERROR,
            "data-refused",
            f"{path}/{refused.name}",
            refused.reason.partition(";")[0],
            "Takes what the zip that you make of it holds, or fails with an exception.",
            refused.reason.partition("; ")[2] or "put a plain file there",
        )
    names = list(dataset.entries)
    tops = {name.partition("/")[0] for name in names if not is_clutter(name)}
    if named.is_data and len(tops) == 1 and all("/" in name for name in names):
        (top,) = tops
        where = "/app/input_data" if named.role == "input_data" else "/app/input/ref"
        notes.add(
            WARNING,
            "data-top-folder",
            path,
            f"everything lies in one folder, {top!r}",
            f"Unpacks it as it is: the files are in {where}/{top}/, not in {where}/.",
            f"zip the contents of {top!r} and not the folder",
        )
    clutter = [name for name in names if is_clutter(name)]
    if clutter:
        notes.add(
            WARNING,
            "data-clutter",
            path,
            f"an operating system's clutter: {some(clutter)}",
            "Ships it with the data.",
            "zip anew without it, for example with `zip -r data.zip . -x '.*' '__MACOSX/*'`",
        )
    if isinstance(dataset, ZipSource):
        _check_listing(context, path, dataset)


def _check_listing(context: Context, path: str, dataset: ZipSource) -> None:
    infos = dataset.infos
    add = context.notes.add
    encrypted = [info.filename for info in infos if info.flag_bits & _ENCRYPTED]
    if encrypted:
        text = f"encrypted files: {some(encrypted)}"
        add(ERROR, "data-encrypted", path, text, BLOCKED, "zip without a password")
    methods = [info.filename for info in infos if info.compress_type not in METHODS]
    if methods:
        text = f"compressed by another method than deflate, not looked at here: {some(methods)}"
        platform = "Unpacks it if the worker's Python can."
        add(WARNING, "data-method", path, text, platform, "make the zip with deflate")
    odd = [i.orig_filename for i in infos if "\\" in i.orig_filename]
    odd += [i.filename for i in infos if i.filename[:1] == "/" or ".." in i.filename.split("/")]
    if odd:
        add(
            ERROR,
            "data-paths",
            path,
            f"names with backslashes or `..`, or absolute ones: {some(odd)}",
            "Unpacks them elsewhere than their names say; a backslash is part of a name there.",
            "zip the contents of the data's folder",
        )
    counts = Counter(info.filename for info in infos)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        platform = "Keeps the last one in silence."
        add(
            ERROR,
            "data-twice",
            path,
            f"names that stand twice: {some(twice)}",
            platform,
            "remove one",
        )
    unpacked = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if unpacked > 256 * MIB and unpacked > 200 * max(packed, 1):
        add(
            WARNING,
            "data-grows",
            path,
            f"it grows from {packed / MIB:,.1f} to {unpacked / MIB:,.0f} MiB when it is unpacked",
            "Unpacks it anew for every run, on the worker's disk.",
            "check what is in it",
        )


def _check_quota(context: Context, document: Document) -> None:
    """Warn where the copies of data sets use much of the organiser's storage."""
    sizes: Counter[str] = Counter()
    copies: dict[str, list[Named]] = {}
    for named in named_paths(context, document):
        if named.keys[0] == "tasks" and context.tree.kind(named.path) is not None:
            copies.setdefault(named.path, []).append(named)
            sizes[named.path] = sizes[named.path] or _size(context, named.path)
    for path, users in copies.items():
        extra = (len(users) - 1) * sizes[path]
        if extra > COPIES_COUNT_FROM:
            context.notes.at(
                document,
                users[1].keys,
                "data-copied",
                f"{path!r} is named {len(users)} times",
                f"Stores a copy for each, {extra / 1000**3:,.1f} GB more.",
                "nothing can be shared within a bundle: make it smaller, or watch your quota",
                level=WARNING,
            )
    total = sum(sizes[path] * len(users) for path, users in copies.items())
    total += sum(sizes.values())
    if total > DEFAULT_QUOTA:
        context.notes.at(
            document,
            ("tasks",),
            "quota",
            f"the bundle and the copies of its data take about {total / 1000**3:,.0f} GB",
            'Refuses an upload above the quota (15 GB by default): "Insufficient space. Your '
            'available space is ..."; unpacking is not checked.',
            "make the data smaller, or ask for more space",
            level=WARNING,
        )


def _size(context: Context, path: str) -> int:
    if context.tree.kind(path) == "file":
        return context.tree.size(path)
    try:
        return sum(entry.size for entry in context.dataset(path).entries.values())
    except SourceError:
        return 0
