"""The bundle's data files: what may be replaced, and putting new ones in place together."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mimicry.data_sets.manifest import (
    PRIVATE,
    read_manifest,
    recorded_zips,
    write_manifest,
)
from mimicry.demo.interrupts import uninterrupted
from mimicry.demo.set_files import zip_names
from mimicry.demo.storage import PUBLIC, is_demo_zip
from mimicry.errors import BundleError
from mimicry.files import sha256_file, sync_folder

# What a split's files are called, as the competitions name them.
STEMS = {"development": "val", "final": "test"}
# The groups of each part of a set; the name of a part is what follows the stem.
PARTS: Mapping[str, tuple[str, ...]] = {
    "_A": ("major", "minor"),
    "_mimic": ("mimic",),
    "": ("major", "minor", "mimic"),
}
TRAINING_TABLE = "butterfly_train.csv"
_SUFFIX = ".build"
_JOURNAL = "installing.json"


def files_of(splits: Sequence[str]) -> list[str]:
    """Return the paths of the zips of some splits, relative to the bundle."""
    names = [name for split in splits if split in STEMS for name in zip_names(STEMS[split])]
    return names + ([PUBLIC] if "training" in splits else [])


def check_places(output: Path, splits: Sequence[str], *, force: bool) -> list[str]:
    """Refuse to replace data that are there, or to leave the demo's beside others.

    Parameters
    ----------
    output : Path
        The bundle.
    splits : sequence of str
        Which are going to be written.
    force : bool
        Replace whatever is there.

    Returns
    -------
    list of str
        Warnings.

    Raises
    ------
    BundleError
        `data-in-place`, `data-demo-beside`; `data-folder` where a folder or a link has the
        name of a zip.
    """
    wanted = files_of(splits)
    warnings = []
    for name in wanted:
        path = output / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise BundleError("data-folder", f"{path} is no plain file; move it away.")
    there = [name for name in wanted if (output / name).exists()]
    demo = [name for name in there if is_demo_zip(output / name)]
    if there and not force:
        whose = "the demo's data" if demo else "data"
        remedy = "`mimicry data clean` removes the demo's" if demo else "keep a copy of them"
        raise BundleError(
            "data-in-place",
            f"{output} holds {whose} already ({_some(there)}). Choose another --output, or pass "
            f"--force to replace them; {remedy}.",
        )
    others = [name for name in files_of(["development", "final"]) if name not in wanted]
    beside = [name for name in others if (output / name).is_file() and is_demo_zip(output / name)]
    if beside and not force:
        raise BundleError(
            "data-demo-beside",
            f"{output} would hold the demo's data beside yours ({_some(beside)}), since your "
            "labels have no such split. Remove the demo's with `mimicry data clean`, or pass "
            "--force to leave them.",
        )
    public = output / PUBLIC
    if PUBLIC not in wanted and public.is_file() and is_demo_zip(public):
        warnings.append(
            f"{PUBLIC} is still the demo's; participants would download generated training images"
        )
    return warnings


def _some(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def part(output: Path, name: str) -> Path:
    """Return where a zip is written before it gets its name; its folder is made."""
    final = output / name
    final.parent.mkdir(parents=True, exist_ok=True)
    return final.with_name(f".{final.name}{_SUFFIX}")


def remove_parts(output: Path) -> None:
    """Remove what builds left that were ended from outside."""
    for name in files_of([*STEMS, "training"]):
        final = output / name
        pattern = f"*.{final.name}{_SUFFIX}*"
        for leftover in final.parent.glob(pattern) if final.parent.is_dir() else ():
            if leftover.name.startswith("."):
                leftover.unlink()


def install(output: Path, manifest: Path, content: Mapping[str, Any]) -> None:
    """Give all parts their names and write the manifest.

    What is to be done is written down first. A build that is ended half-way leaves whole
    files, some old and some new; `finish` then does the rest.
    """
    journal = output / PRIVATE / _JOURNAL
    earlier = recorded_zips(read_manifest(manifest))
    write_manifest(
        journal, {"manifest": str(manifest), "earlier": earlier, "content": dict(content)}
    )
    with uninterrupted():
        _carry_out(output, journal, manifest, earlier, content)


def finish(output: Path, report: Callable[[str], None]) -> None:
    """Do the rest of an installation that was ended from outside, if there is one.

    Raises
    ------
    BundleError
        `data-half-installed` when its parts are gone or damaged.
    """
    import json

    journal = output / PRIVATE / _JOURNAL
    if not journal.is_file():
        return
    try:
        found = json.loads(journal.read_text(encoding="utf-8"))
        manifest, earlier, content = Path(found["manifest"]), found["earlier"], found["content"]
        zips = recorded_zips(content)
        odd = set(zips) - set(files_of([*STEMS, "training"]))
        whole = not odd and all(_is_there(output, name, digest) for name, digest in zips.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        journal.unlink()
        raise BundleError(
            "data-half-installed",
            f"An earlier build of {output} was ended while it put its files in place, and what is "
            "left of it does not fit together. Build again with --force.",
        )
    with uninterrupted():
        _carry_out(output, journal, manifest, earlier, content)
    report("an earlier build was ended while it put its files in place; that is done now")


def _is_there(output: Path, name: str, digest: str) -> bool:
    """Tell whether a zip is there as recorded, under its own name or as a part."""
    final = output / name
    places = (final.with_name(f".{final.name}{_SUFFIX}"), final)
    return any(place.is_file() and sha256_file(place) == digest for place in places)


def _carry_out(
    output: Path,
    journal: Path,
    manifest: Path,
    earlier: Mapping[str, str],
    content: Mapping[str, Any],
) -> None:
    zips = recorded_zips(content)
    for name in zips:
        final = output / name
        aside = final.with_name(f".{final.name}{_SUFFIX}")
        if aside.is_file():
            aside.replace(final)
    for name in files_of([*STEMS, "training"]):
        stale = output / name
        # Of an earlier build of ours, as it was written, and of none of these images.
        ours = name not in zips and name in earlier and stale.is_file()
        if ours and sha256_file(stale) == earlier[name]:
            stale.unlink()
    for folder in {(output / name).parent for name in zips}:
        sync_folder(folder)
    write_manifest(manifest, content)
    journal.unlink(missing_ok=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Return a CSV with one line end everywhere."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue().encode("utf-8")
