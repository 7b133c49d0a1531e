"""A submission folder: a baseline's code with a newly fitted head."""

import io
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from backbones import Backbone

from mimicry.errors import SubmissionError
from mimicry.files import is_clutter, remove_tree, write_atomically

HEAD = "classifier.npz"
SETTINGS = "settings.json"
WEIGHTS = "backbone"
# Says that this module made a folder; packing leaves names with a leading dot out.
MARKER = ".made-by-training"


def check_output(
    output: Path, baseline: Path, *, inputs: Sequence[Path] = (), force: bool = False
) -> None:
    """Refuse a folder that must not be replaced, before hours of work rather than after.

    A folder may be replaced when it is empty or bears this module's mark; with `force`,
    also one that does not. Never replaced is what is or holds the baseline, the current
    folder or any of `inputs`.

    Raises
    ------
    SubmissionError
        ``output-in-the-way``.
    """
    full = output.resolve()
    if full.is_relative_to(baseline.resolve()):
        raise _in_the_way(output, f"lies in {baseline}")
    for needed in (baseline, Path(), *inputs):
        if needed.resolve().is_relative_to(full):
            name = "the current folder" if needed == Path() else str(needed)
            raise _in_the_way(output, f"is {name}, or holds it")
    if not output.is_symlink() and not output.exists():
        return
    if output.is_symlink() or not output.is_dir():
        raise _in_the_way(output, "is no folder")
    if not (force or (output / MARKER).is_file() or not any(output.iterdir())):
        raise SubmissionError(
            "output-in-the-way",
            f"{output} holds files that training did not make; choose another --output, or "
            "let it be replaced with --force.",
        )


def _in_the_way(output: Path, what: str) -> SubmissionError:
    return SubmissionError(
        "output-in-the-way", f"{output} {what}; choose another folder with --output."
    )


def export_submission(
    baseline: Path,
    backbone: Backbone,
    head: Mapping[str, npt.NDArray[np.generic]],
    output: Path,
    *,
    include_weights: bool,
    force: bool = False,
) -> None:
    """Write a submission folder, whole or not at all.

    Parameters
    ----------
    baseline : Path
        Its code, metadata and requirements are copied as they are.
    backbone : Backbone
        What the head was fitted on; decides the settings.
    head : mapping
        Arrays for ``classifier.npz``.
    output : Path
        See `check_output` for what may be there already.
    include_weights : bool
        Whether the backbone's files go into the submission; else they are looked for where
        the baseline's ``find_weights.py`` says, and refused there unless they are the same.
    force : bool
        Replace a folder that this did not make.

    Raises
    ------
    SubmissionError
        ``output-in-the-way``.
    """
    check_output(output, baseline, force=force)
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, since only within a file system is renaming one step.
    staged = output.with_name(f".{output.name}.{secrets.token_hex(6)}.tmp")
    try:
        _copy_code(baseline, staged)
        if include_weights:
            (staged / WEIGHTS).mkdir()
            for path in backbone.files():
                shutil.copyfile(path, staged / WEIGHTS / path.name)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: head[name] for name in sorted(head)}
        np.savez(buffer, **arrays)
        write_atomically(staged / HEAD, buffer.getvalue())
        text = json.dumps(backbone.settings(), indent=2, ensure_ascii=False)
        write_atomically(staged / SETTINGS, text + "\n")
        (staged / MARKER).touch()
        _replace(staged, output)
    except BaseException:
        remove_tree(staged)
        raise


def _copy_code(baseline: Path, staged: Path) -> None:
    def unwanted(folder: str, names: list[str]) -> set[str]:
        made_here = {HEAD, SETTINGS, WEIGHTS} if Path(folder) == baseline else set()
        return _clutter(folder, names) | (made_here & set(names))

    shutil.copytree(baseline, staged, ignore=unwanted)


def _clutter(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if is_clutter(name) or name == "__pycache__"}


def _replace(staged: Path, output: Path) -> None:
    if not output.exists():
        staged.rename(output)
        return
    # A folder with files cannot be renamed over; the old one goes only when the new is there.
    old = output.with_name(f".{output.name}.{secrets.token_hex(6)}.old")
    output.rename(old)
    try:
        staged.rename(output)
    except BaseException:
        old.rename(output)
        raise
    remove_tree(old)
