"""Sealed reference data: what can be told of them without the key."""

import json

from mimicry.codabench.reading.document import Document
from mimicry.codabench.sealing import LARGEST_HEADER, header_fault
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.data import entries, named_paths
from mimicry.codabench.validation.source import SourceError
from mimicry.files import is_clutter
from mimicry.scoring.sealed import SEALED_NAME
from mimicry.scoring.settings import FILE_NAME, MAX_BYTES

OPENS = "mimicry/scoring/sealed.py"
_NO_SCORES = "Takes it; then every submission fails in scoring, without scores."


def is_sealed_source(data: Dataset) -> bool:
    """Tell whether a data set holds a sealed file and nothing else, clutter aside."""
    return [name for name in data.entries if not is_clutter(name)] == [SEALED_NAME]


def check_sealed(context: Context, document: Document) -> None:
    """Check sealed reference data and their programs; tell what cannot be looked at."""
    data = {n.keys[1]: n for n in named_paths(context, document) if n.role == "reference_data"}
    programs = {n.keys[1]: n for n in named_paths(context, document) if n.role == "scoring_program"}
    sealed = False
    for index, _ in entries(document, "tasks"):
        if index not in data:
            continue
        reference = _opened(context, data[index].path)
        program = _opened(context, programs[index].path) if index in programs else None
        if reference is None:
            continue
        found, wanted = is_sealed_source(reference), _packed_as_sealed(program)
        if found:
            sealed = True
            _check_header(context, data[index].path, reference)
            context.notes.skip(
                f"{data[index].path} is sealed: its labels were checked when it was packed, and "
                "nobody can look at them without the key, nor look for them elsewhere"
            )
        if SEALED_NAME in reference.entries and not found:
            _at(
                context,
                document,
                index,
                "seal-missing",
                f"{data[index].path!r} holds other files beside {SEALED_NAME}",
                "attach the zip that `mimicry pack --seal` made",
            )
        elif wanted is not None and wanted != found:
            words = ("sealed", "plain") if found else ("plain", "sealed")
            _at(
                context,
                document,
                index,
                "seal-unexpected" if found else "seal-missing",
                f"{data[index].path!r} is {words[0]}, and its scoring program was packed for "
                f"{words[1]} reference data",
                "take program and data from one zip of `mimicry pack`",
            )
        elif found and wanted and program is not None and OPENS not in program.entries:
            _at(
                context,
                document,
                index,
                "seal-program",
                f"the scoring program of {data[index].path!r} cannot open it: it holds no {OPENS}",
                "pack again with `mimicry pack --seal`",
            )
    if sealed:
        image = document.data.get("docker_image")
        shown = f" {image}" if isinstance(image, str) else ""
        context.notes.skip(
            f"the image{shown} must hold the library pyrage to open sealed data, and the key must "
            "be where scoring runs, as docs/sealing.md tells: neither can be seen from here"
        )


def _opened(context: Context, path: str) -> Dataset | None:
    if context.tree.kind(path) is None:
        return None
    try:
        return context.dataset(path)
    except SourceError:
        # Noted where data are looked at.
        return None


def _packed_as_sealed(program: Dataset | None) -> bool | None:
    """Return what packing told a program; None where it was not packed."""
    if program is None or FILE_NAME not in program.entries:
        return None
    try:
        settings = json.loads(program.read(FILE_NAME, MAX_BYTES))
    except (SourceError, ValueError, RecursionError):
        return None
    return bool(settings.get("sealed")) if isinstance(settings, dict) else None


def _check_header(context: Context, path: str, data: Dataset) -> None:
    try:
        fault = header_fault(data.read(SEALED_NAME, LARGEST_HEADER), data.entries[SEALED_NAME].size)
    except SourceError as error:
        fault = str(error)
    if fault is not None:
        context.notes.add(
            "error",
            "seal-damaged",
            f"{path}/{SEALED_NAME}",
            f"it {fault}",
            _NO_SCORES,
            "pack again with `mimicry pack --seal`",
        )


def _at(
    context: Context, document: Document, index: object, code: str, problem: str, mend: str
) -> None:
    assert isinstance(index, int)
    keys = ("tasks", index, "reference_data")
    context.notes.at(document, keys, code, problem, _NO_SCORES, mend)
