"""A submission folder: a baseline's code with a newly fitted head."""

import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from backbones import Backbone
from placing import MARKER, alone_in, beside, listed, prepare_output, told

from mimicry.errors import SubmissionError
from mimicry.files import is_clutter, remove_tree, sha256_file, write_atomically

HEAD = "classifier.npz"
SETTINGS = "settings.json"
WEIGHTS = "backbone"


def code_files(baseline: Path) -> list[str]:
    """Return the files of a baseline that every submission made from it holds.

    Raises
    ------
    SubmissionError
        ``baseline-incomplete`` when one cannot be read, ``code-link`` for a link to a
        folder, to nowhere or out of the baseline, and for what is no file.
    """
    made_here = {HEAD, SETTINGS, WEIGHTS}
    names = []
    try:
        for name in sorted(listed(baseline, unwanted=_clutter)):
            if name.partition("/")[0] in made_here:
                continue
            path = baseline / name
            if path.is_symlink() or not path.is_file():
                _refuse_link(path, baseline)
            with path.open("rb"):
                names.append(name)
    except OSError as error:
        raise SubmissionError(
            "baseline-incomplete",
            f"{error.filename or baseline} cannot be read ({error.strerror or error}); name a "
            "whole baseline.",
        ) from error
    return names


def _clutter(name: str) -> bool:
    return is_clutter(name) or name == "__pycache__"


def _refuse_link(path: Path, baseline: Path) -> None:
    """Refuse what is no file of the baseline's own, which nobody meant to publish."""
    inside = os.path.realpath(path)
    if not path.is_file():
        what = "is no file, nor a link to one"
    elif not Path(inside).is_relative_to(baseline.resolve()):
        what = f"is a link to {inside}, outside of {baseline}"
    else:
        return
    raise SubmissionError("code-link", f"{path} {what}; put a copy there, or take it away.")


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
        Replace a submission that this did not make.

    Raises
    ------
    SubmissionError
        ``output-in-the-way``, ``baseline-incomplete`` or ``code-link``.
    BundleError
        ``output-unwritable``, on a full disk among others.
    """
    prepare_output(output, baseline, inputs=[backbone.weights], force=force)
    sources = {name: baseline / name for name in code_files(baseline)}
    if include_weights:
        sources |= {f"{WEIGHTS}/{path.name}": path for path in backbone.files()}
    for path in sources.values():
        if not path.is_file():
            raise SubmissionError(
                "baseline-incomplete", f"{path} is gone; put it back, and train again."
            )
    # Beside the output, since only within a file system is renaming one step.
    staged = beside(output, "tmp")
    with told(output), alone_in(output.parent):
        try:
            staged.mkdir()
            for name, path in sources.items():
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, staged / name)
            buffer = io.BytesIO()
            arrays: dict[str, Any] = {name: head[name] for name in sorted(head)}
            np.savez(buffer, **arrays)
            write_atomically(staged / HEAD, buffer.getvalue())
            text = json.dumps(backbone.settings(), indent=2, ensure_ascii=False)
            write_atomically(staged / SETTINGS, text + "\n")
            written = {name: sha256_file(staged / name) for name in sorted(listed(staged))}
            write_atomically(staged / MARKER, json.dumps(written, indent=2) + "\n")
            _replace(staged, output)
        except BaseException:
            remove_tree(staged)
            raise


def _replace(staged: Path, output: Path) -> None:
    if not output.exists():
        staged.rename(output)
        return
    # A folder with files cannot be renamed over; the old one goes only when the new is there.
    old = beside(output, "old")
    output.rename(old)
    try:
        staged.rename(output)
    except BaseException:
        old.rename(output)
        raise
    remove_tree(old)
