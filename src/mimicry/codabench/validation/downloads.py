"""What participants download: no hidden image, and nothing of somebody's own."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from mimicry.codabench.reading.document import Document
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.data import named_paths
from mimicry.codabench.validation.finding import ERROR, WARNING, some
from mimicry.codabench.validation.published import HiddenImages
from mimicry.codabench.validation.source import Source, SourceError
from mimicry.codabench.zips import is_leftover

_OPEN_ROLES = {
    "public_data": "everybody can download the public data",
    "starting_kit": "everybody can download the starting kit",
    "path": "a solution is shown with the competition",
}
_SEEN = "Does not look, and hands out whatever is in it."
_OUTPUTS = frozenset({"dist", "runs"})


def check_downloads(context: Context, document: Document) -> None:
    """Look for input data in what everybody can download, and for leftovers in the kit.

    Images are recognised byte for byte: one that was saved anew or in an archive of
    another kind than a zip is not found.
    """
    named = list(named_paths(context, document))
    inputs: dict[str, Source] = {}
    for path in dict.fromkeys(one.path for one in named if one.role == "input_data"):
        data = _opened(context, path)
        if data is not None:
            inputs[path] = data
    images = HiddenImages(inputs, context.images.take)
    seen = set[tuple[str, str]]()
    for one in named:
        data = _opened(context, one.path) if one.role in _OPEN_ROLES else None
        if data is None or (one.role, one.path) in seen:
            continue
        seen.add((one.role, one.path))
        found = images.find_in(data)
        if found:
            count = "an image" if len(found) == 1 else f"{len(found):,} images"
            context.notes.add(
                ERROR,
                "leak-input",
                one.path,
                f"it holds {count} of the input data ({some(list(found))}; the first is "
                f"{next(iter(found.values()))}), and {_OPEN_ROLES[one.role]}",
                _SEEN,
                "take them out, and predict other images if this has been published",
            )
        if one.role == "starting_kit":
            _check_kit(context, one.path, data)


def _opened(context: Context, path: str) -> Dataset | None:
    try:
        return context.dataset(path) if context.tree.kind(path) is not None else None
    except SourceError:
        # Noted where data are looked at; a download may be a file of any kind.
        return None


def _check_kit(context: Context, path: str, data: Dataset) -> None:
    work = somebodys_work(data.entries)
    if context.tree.zipped:
        # `mimicry pack` leaves them out of a folder.
        work += [name for name in data.entries if is_leftover(name)]
    if work:
        context.notes.add(
            WARNING,
            "kit-leftovers",
            path,
            f"it holds what looks like somebody's work: {some(work)}",
            _SEEN,
            "take out what participants are not meant to have",
        )


def somebodys_work(names: Iterable[str]) -> list[str]:
    """Return what of a starting kit looks like the work of whoever tried it.

    Zips, folders that `mimicry` writes its output to, and submissions where there are
    several: which of them is the kit's own is not known.
    """
    found: dict[str, None] = {}
    submissions = []
    for name in sorted(names):
        path = PurePosixPath(name)
        # From the outermost folder, which holds the rest.
        parents = list(path.parents)[::-1][1:]
        outputs = next((parent for parent in parents if parent.name in _OUTPUTS), None)
        if outputs is not None:
            found[f"{outputs}/"] = None
        elif path.suffix.lower() == ".zip":
            found[name] = None
        elif path.name == "model.py":
            submissions.append(f"{path.parent}/" if parents else name)
    return [*found, *(submissions if len(submissions) > 1 else [])]
