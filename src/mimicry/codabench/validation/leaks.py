"""Labels and other reference data where participants or their code can read them."""

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from mimicry.codabench.reachable import PACKAGE, package_folder
from mimicry.codabench.reading.document import Document, Keys
from mimicry.codabench.validation.answers import (
    LARGEST_TABLE,
    Answers,
    as_text,
    collect_answers,
    may_be_shared,
    may_be_table,
    records,
    tokens_of,
)
from mimicry.codabench.validation.context import Context
from mimicry.codabench.validation.data import entries, named_paths
from mimicry.codabench.validation.finding import ERROR, WARNING, some
from mimicry.codabench.validation.hidden import hidden_archive, hiding_places, inflated
from mimicry.codabench.validation.source import (
    MIB,
    Entry,
    Source,
    SourceError,
    ZipSource,
    crc_of,
)

LARGEST_MEMBER = 64 * MIB
LARGEST_NESTED = 32 * MIB
FEWEST_ROWS = 3
LEAST_SHARE = 0.8
SHOWN = 3

_OPEN_ROLES = {
    "input_data": "participants' code reads the input data",
    "ingestion_program": "participants' code can read the ingestion program",
    "public_data": "everybody can download the public data",
    "starting_kit": "everybody can download the starting kit",
    "path": "a solution is shown with the competition",
}
_SEEN = "Does not look, and hands out whatever is in it."


class _Place(NamedTuple):
    """Something that is not secret: its key, its path and who sees it."""

    keys: Keys
    path: str
    why: str


class _One:
    """A single file as a source."""

    def __init__(self, context: Context, path: str) -> None:
        self._context, self._path = context, path
        name = PurePosixPath(path).name
        self.entries = {name: Entry(context.tree.size(path), None)}

    def read(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes."""
        return self._context.tree.read(self._path, limit)


def check_leaks(context: Context, document: Document) -> None:
    """Look for reference data in everything that is not secret, within bounds.

    Compared are whole files, by size and checksum; rows of tables, word for word or
    in another order and notation; each column by itself, in whatever words, beside names
    or as a list, and in the names of files and folders; the first lines of tables, also in
    the metadata of images and behind their end. Encoded or encrypted labels are not found.
    """
    named = list(named_paths(context, document))
    references = {n.path: _source(context, n.path) for n in named if n.role == "reference_data"}
    places = [
        _Place(n.keys, n.path, _OPEN_ROLES[n.role])
        for n in named
        if n.role in _OPEN_ROLES and context.tree.kind(n.path) is not None
    ]
    for place in places:
        if place.path in references:
            context.notes.at(
                document,
                place.keys,
                "reference-as-input",
                f"{place.path!r} is the reference data of a task, and {place.why}",
                _SEEN,
                "name other data here",
            )
    known = {path: source for path, source in references.items() if source is not None}
    if not known:
        return
    answers = collect_answers(known)
    for path, names in answers.damaged.items():
        _tell_damage(context, path, names)
    seen = set(references)
    for place in [*places, *_texts(context, document)]:
        if place.path not in seen:
            seen.add(place.path)
            source = _source(context, place.path)
            if source is not None:
                _look(context, answers, place, source, place.path, depth=0)


def _texts(context: Context, document: Document) -> Iterator[_Place]:
    keys: list[tuple[Keys, object]] = [
        (("terms",), document.data.get("terms")),
        (("image",), document.data.get("image")),
        *((("pages", n, "file"), page.get("file")) for n, page in entries(document, "pages")),
    ]
    for key, value in keys:
        path = context.path(document, key, value)
        if path is not None and context.tree.kind(path) == "file":
            yield _Place(key, path, "everybody sees the competition's pages")


def _source(context: Context, path: str) -> Source | None:
    kind = context.tree.kind(path)
    if kind is None:
        return None
    try:
        if kind == "file" and PurePosixPath(path).suffix.lower() != ".zip":
            return _One(context, path)
        return context.dataset(path)
    except SourceError:
        return _One(context, path) if kind == "file" else None


def _look(
    context: Context, answers: Answers, place: _Place, source: Source, path: str, *, depth: int
) -> None:
    copies, shared, damaged = list[str](), list[str](), list[str]()
    sizes = answers.sizes()
    unread = 0
    # Texts first: should the budget end, it ends among the images.
    for name, entry in sorted(
        source.entries.items(), key=lambda pair: (not may_be_table(pair[0]), pair[1].size)
    ):
        if entry.size in sizes:
            crc = crc_of(source, name, LARGEST_MEMBER)
            original = None if crc is None else answers.files.get((entry.size, crc))
            if original is not None:
                (shared if may_be_shared(name) and may_be_shared(original) else copies).append(name)
                continue
        if entry.size > LARGEST_MEMBER or not context.budget.take(entry.size):
            unread += 1
            continue
        try:
            data = source.read(name, LARGEST_MEMBER)
        except SourceError as error:
            if str(error).startswith("is damaged"):
                damaged.append(name)
            continue
        if not _is_our_own(name, data):
            _look_into(context, answers, place, path, name, data, depth)
    _tell(context, place, path, copies, shared)
    _look_at_paths(context, answers, place, path, source)
    if damaged:
        _tell_damage(context, path, damaged)
    if unread:
        context.notes.skip(f"{path}: {unread} files, too large or too many to look for labels in")


def _is_our_own(name: str, data: bytes) -> bool:
    """Tell whether a packed file is this package's own module, unchanged: no label is in there."""
    if not (name.startswith(f"{PACKAGE}/") and name.endswith(".py")):
        return False
    module = package_folder() / name.removeprefix(f"{PACKAGE}/")
    try:
        return module.stat().st_size == len(data) and module.read_bytes() == data
    except (OSError, ValueError):
        return False


def _tell_damage(context: Context, path: str, names: list[str]) -> None:
    context.notes.add(
        ERROR,
        "data-damaged",
        path,
        f"damaged files: {some(names)}",
        'Cannot unpack it: "Bad or empty zip file" in every submission.',
        "make the zip anew from the files",
    )


def _tell(context: Context, place: _Place, path: str, copies: list[str], shared: list[str]) -> None:
    if copies:
        context.notes.add(
            ERROR,
            "leak-file",
            path,
            f"it holds files of the reference data ({some(copies)}), and {place.why}",
            _SEEN,
            "take them out, and make new labels if this has been published",
        )
    if shared:
        context.notes.add(
            WARNING,
            "leak-shared",
            path,
            f"{len(shared):,} files stand in the reference data, too ({some(shared)}), and "
            f"{place.why}",
            _SEEN,
            "leave it if they are no answers, but what the scoring program needs of the inputs",
        )


def _look_into(
    context: Context,
    answers: Answers,
    place: _Place,
    path: str,
    name: str,
    data: bytes,
    depth: int,
) -> None:
    shown = path if PurePosixPath(path).name == name else f"{path}:{name}"
    if data.startswith(b"PK\x03\x04") and depth < 1 and len(data) <= LARGEST_NESTED:
        try:
            inner = ZipSource(io.BytesIO(data))
        except SourceError:
            return
        _look(context, answers, place, inner, shown, depth=depth + 1)
        return
    if data.startswith(b"\x1f\x8b"):
        data = inflated(data)
    text = as_text(data) if len(data) <= LARGEST_TABLE and not _is_image(data) else None
    if text is not None and not context.text.take(len(data)):
        context.notes.skip(f"{path}: not all texts were compared with the labels row by row")
    elif text is not None:
        _look_into_text(context, answers, place, shown, name, text)
        return
    places = hiding_places(data)
    if not context.search.take(len(places) * len(answers.needles)):
        context.notes.skip(f"{path}: not all files were searched for hidden labels")
        return
    table = next((t for needle, t in answers.needles.items() if needle in places), None)
    if table is not None:
        context.notes.add(
            ERROR,
            "leak-hidden",
            shown,
            f"it contains lines of {table}, and {place.why}",
            _SEEN,
            "save the file without metadata and without anything behind its end",
        )
    elif hidden_archive(data):
        context.notes.add(
            WARNING,
            "hidden-archive",
            shown,
            f"an archive stands behind the end of the image, and {place.why}",
            _SEEN,
            "save the image anew",
        )


def _is_image(data: bytes) -> bool:
    return data.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM"))


def _look_into_text(
    context: Context, answers: Answers, place: _Place, shown: str, name: str, text: str
) -> None:
    whole: list[int] = []
    table = ""
    mentioned, agreeing = 0, 0
    labels = set[frozenset[str]]()
    for number, line in enumerate(records(name, text), 1):
        stripped = line.strip().rstrip(",")
        if stripped in answers.lines:
            whole.append(number)
            table = answers.lines[stripped]
        tokens = tokens_of(line)
        for token in tokens:
            row = answers.rows.get(token)
            if row is not None:
                mentioned += 1
                if row.tokens <= set(tokens):
                    agreeing += 1
                    labels.add(row.tokens)
                    table = table or row.table
                break
    telling = agreeing >= FEWEST_ROWS and agreeing >= LEAST_SHARE * mentioned and len(labels) > 1
    if not whole and not telling:
        _look_for_labels(context, answers, place, shown, name, text)
    else:
        count = max(len(whole), agreeing if telling else 0)
        rows = "a row" if count == 1 else f"{count:,} rows"
        context.notes.add(
            ERROR,
            "leak-rows",
            shown,
            f"it tells {rows} of {table}, and {place.why}",
            _SEEN,
            "take the labels out, and make new ones if this has been published",
            line=whole[0] if whole else None,
        )


def _look_for_labels(
    context: Context, answers: Answers, place: _Place, shown: str, name: str, text: str
) -> None:
    # Line breaks and quotes of texts within texts, as notebooks have them.
    told = answers.labels.told_in(text.replace("\\n", "\n").replace('\\"', '"'))
    if told is None and text.lstrip()[:1] in {"{", "["}:
        told = answers.labels.told_in("\n".join(records(name, text)))
    if told is not None:
        context.notes.add(
            ERROR,
            "leak-labels",
            shown,
            f"what stands beside the names, or which names are listed, tells "
            f"{told.column.title!r} of {told.names:,} names of {told.column.table}, and "
            f"{place.why}",
            _SEEN,
            "take it out, and make new labels if this has been published",
        )


def _look_at_paths(
    context: Context, answers: Answers, place: _Place, path: str, source: Source
) -> None:
    told = answers.labels.told_by_paths(source.entries)
    if told is not None:
        context.notes.add(
            ERROR,
            "leak-paths",
            path,
            f"the folders or names of its files tell {told.column.title!r} of {told.names:,} "
            f"names of {told.column.table}, and {place.why}",
            _SEEN,
            "put all files into one folder, under names that say nothing",
        )
