"""Where a submission may be written, so that nobody's files are lost for it."""

import fcntl
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mimicry.codabench.scratch import writable
from mimicry.errors import SubmissionError
from mimicry.files import remove_tree, sha256_file, write_atomically

ROOT = Path(__file__).resolve().parents[2]
# Says which files training made; packing leaves names with a leading dot out.
MARKER = ".made-by-training"
# What looking at a folder or running its code leaves in it.
LITTER = {"__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}.__contains__


def prepare_output(
    output: Path, baseline: Path, *, inputs: Sequence[Path] = (), force: bool = False
) -> None:
    """Make sure, before hours of work rather than after, that a submission can be written.

    What a killed run left beside the output is tidied up.

    Raises
    ------
    SubmissionError
        What `check_output` raises.
    BundleError
        ``output-unwritable``.
    """
    _refuse_unusable(output)
    _tidy(output)
    check_output(output, baseline, inputs=inputs, force=force)
    with told(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        # A name that nobody tidies away in between.
        trial = beside(output, "try")
        trial.mkdir()
        trial.rmdir()


def prepare_work(work: Path) -> None:
    """Make sure that features can be kept in a folder.

    Raises
    ------
    BundleError
        ``work-unwritable``.
    """
    with writable(work, "work-unwritable", "choose another folder with --work"):
        work.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=work).cleanup()


def keep(path: Path, text: str) -> None:
    """Write a file among the features.

    Raises
    ------
    BundleError
        ``work-unwritable``.
    """
    with writable(path, "work-unwritable", "free some space, or choose another --work"):
        write_atomically(path, text)


def check_output(
    output: Path, baseline: Path, *, inputs: Sequence[Path] = (), force: bool = False
) -> None:
    """Refuse a folder that must not be replaced.

    A folder may be replaced when it is empty, or holds what training wrote and nothing
    else; with `force`, also another submission. Never replaced is what is or holds a
    baseline, the home or current folder or any of `inputs`, and what is under version
    control; force does not reach into `inputs` either.

    Raises
    ------
    SubmissionError
        ``output-in-the-way``.
    """
    _refuse_unusable(output)
    full = real(output)
    home = Path(os.environ.get("HOME") or "/")
    for folder in (baseline, *sorted((ROOT / "baselines").glob("*_submission"))):
        if full.is_relative_to(real(folder)):
            raise _in_the_way(output, f"lies in {folder}")
    names = {Path(): "the current folder", home: "the home folder"}
    for needed in (baseline, Path(), home, ROOT, *inputs):
        if real(needed).is_relative_to(full):
            raise _in_the_way(output, f"is {names.get(needed, needed)}, or holds it")
    if not os.path.lexists(output):
        return
    if output.is_symlink() or not output.is_dir():
        raise _in_the_way(output, "is no folder")
    try:
        changed = _changed(output) if any(output.iterdir()) else ""
    except OSError as error:
        raise _in_the_way(output, f"cannot be looked through ({error.strerror})") from error
    if os.path.lexists(output / ".git"):
        raise _in_the_way(output, "is under version control")
    if not changed:
        return
    if not (output / "model.py").is_file():
        raise _in_the_way(output, f"{changed} and is no submission")
    if not force:
        raise SubmissionError(
            "output-in-the-way",
            f"{output} {changed}; choose another --output, or let all of it be replaced with "
            "--force.",
        )
    for needed in inputs:
        if full.is_relative_to(real(needed)):
            raise _in_the_way(output, f"{changed} and lies in {needed}")


def _refuse_unusable(output: Path) -> None:
    try:
        output.resolve()
        with suppress(FileNotFoundError):
            output.lstat()
    except (OSError, RuntimeError, ValueError) as error:
        # A loop of links, a name too long, a file as a parent, a zero byte.
        what = error.strerror if isinstance(error, OSError) else error
        raise _in_the_way(output, f"is no usable path ({what})") from error


def real(path: Path) -> Path:
    """Return where a path leads; unlike `Path.resolve`, this bears loops."""
    return Path(os.path.realpath(path))


def _in_the_way(output: Path, what: str) -> SubmissionError:
    return SubmissionError(
        "output-in-the-way", f"{output} {what}; choose another folder with --output."
    )


def _changed(output: Path) -> str:
    """Return what a folder holds other than what training wrote, "" for nothing."""
    try:
        written = json.loads((output / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        written = None
    if not isinstance(written, dict):
        return "holds files that training did not make"
    there = {name for name in listed(output) if name != MARKER}
    for name in sorted(there | set(written)):
        path = output / name
        if name not in written:
            return f"holds {name}, which training did not make"
        if name not in there:
            return f"lacks {name}, which training made"
        if path.is_symlink() or not path.is_file() or sha256_file(path) != written[name]:
            return f"holds {name}, which was changed since training made it"
    return ""


def listed(folder: Path, *, unwanted: Callable[[str], bool] = LITTER) -> Iterator[str]:
    """Yield all files and links under a folder, by their path inside it."""

    def fail(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=fail):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not unwanted(name)]
        for name in (*links, *files):
            if not unwanted(name):
                yield (Path(place) / name).relative_to(folder).as_posix()


def beside(output: Path, ending: str) -> Path:
    """Return a fresh name beside a folder."""
    return output.with_name(f".{output.name}.{secrets.token_hex(6)}.{ending}")


@contextmanager
def told(output: Path) -> Iterator[None]:
    """Tell in a sentence why an output cannot be written."""
    remedy = "free some space, or choose another place with --output"
    with writable(output, "output-unwritable", remedy):
        yield


@contextmanager
def alone_in(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Keep other exports out of a folder; say whether that could be had."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except OSError:
            # Busy, or a network file system that has no such locks.
            alone = False
        yield alone
    finally:
        os.close(descriptor)


def _tidy(output: Path) -> None:
    """Remove what killed exports left, and put back the output that one had moved away."""
    mine = re.compile(rf"\.{re.escape(output.name)}\.[0-9a-f]{{12}}\.(tmp|old)")
    # What cannot be tidied up only takes space.
    with suppress(OSError), alone_in(output.parent, wait=False) as alone:
        for path in sorted(output.parent.iterdir()) if alone else ():
            found = mine.fullmatch(path.name)
            if found is None or path.is_symlink() or not path.is_dir():
                continue
            if found[1] == "old" and not os.path.lexists(output):
                path.rename(output)
            else:
                remove_tree(path)
