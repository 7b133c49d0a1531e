"""From a folder of photographs and a table of labels to the bundle's data."""

import hashlib
import secrets
import warnings as python_warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import __version__ as pillow

from mimicry import __version__
from mimicry.codabench.scratch import locked
from mimicry.data_sets.checks import (
    animal_findings,
    duplicate_findings,
    file_findings,
    image_findings,
    mixture_findings,
)
from mimicry.data_sets.duplicates import Link, components, find_links
from mimicry.data_sets.findings import ERROR, WARNING, Finding
from mimicry.data_sets.labels import Labels, Row, read_labels
from mimicry.data_sets.manifest import (
    FORM,
    manifest_path,
    private_folder,
    read_manifest,
    recorded_zips,
)
from mimicry.data_sets.options import SHARES, Built, Options, stop_if_unfit
from mimicry.data_sets.placing import (
    STEMS,
    check_places,
    finish,
    install,
    remove_parts,
)
from mimicry.data_sets.prepare import (
    PREPARER,
    UnfitImage,
    prepare,
    read_image,
)
from mimicry.data_sets.progress import work_through
from mimicry.data_sets.sources import list_files, match
from mimicry.data_sets.splits import make_splits
from mimicry.data_sets.stash import Stash
from mimicry.data_sets.writing import Ready, names_of, records_of, write_zips
from mimicry.errors import BundleError
from mimicry.files import sha256_file


def build_data(
    images: Path,
    labels: Path,
    output: Path,
    options: Options | None = None,
    report: Callable[[str], None] = print,
) -> Built:
    """Build the zips of Development, Final and the training data.

    Nothing is written in place before all images have been read and judged, and then
    everything under its last name at once.

    Parameters
    ----------
    images : Path
        Folder of photographs, with sub-folders or without.
    labels : Path
        The table, see `mimicry.data_sets.labels.read_labels`.
    output : Path
        The bundle; gets ``input_data``, ``reference_data``, ``private`` and, with a
        training split, ``public_data/hybrids.zip``.
    options : Options, optional
    report : callable
        Gets lines of progress.

    Returns
    -------
    Built

    Raises
    ------
    UnfitDataError
        `data-unfit`: photographs or labels are not fit to be published.
    BundleError
        What `read_labels`, `list_files`, `check_places`, `manifest_path` and `finish`
        find; `data-busy` when another build is at work; `zip-unwritable`, `zip-broken`.
    """
    asked = options or Options()
    manifest = manifest_path(output, asked.manifest)
    read = read_labels(labels, specimen=asked.specimen, use_splits=asked.shares is None)
    parameters = _parameters(labels, read, asked)
    with ExitStack() as stack:
        # Damaged metadata, which goes anyway; what matters is raised.
        stack.enter_context(python_warnings.catch_warnings())
        python_warnings.filterwarnings("ignore", module="PIL")
        stash = None
        if not asked.dry_run:
            private = private_folder(output)
            busy = BundleError(
                "data-busy", f"Another build is writing to {output}; wait until it has ended."
            )
            stack.enter_context(locked(private / ".lock", busy))
            finish(output, report)
            remove_parts(output)
            stash = Stash(private / "build")
        findings: list[Finding] = []
        found, found_findings = _files(images, read, asked)
        findings += found_findings
        if not asked.force and asked.seed is not None:
            done = _already_there(output, manifest, parameters, found, findings)
            if done is not None:
                report(f"already there: {len(found):,} images in {output}")
                return done
        splits_named = _splits_named(read, asked)
        refusal = None
        try:
            for warning in check_places(output, splits_named, force=asked.force):
                findings.append(Finding(WARNING, "data-demo-beside", f"{warning}."))
        except BundleError as error:
            if not asked.dry_run:
                raise
            refusal = error
        if stash is not None:
            stash.folder.mkdir(mode=0o700, exist_ok=True)
        ready, image_faults = _prepare_all(found, asked, stash, report)
        findings += image_findings(image_faults, asked.allowed)
        seed = asked.seed if asked.seed is not None else secrets.randbits(128)
        rows = [image.row for image in ready]
        links = find_links(
            [image.facts.pixels for image in ready],
            [image.facts.look for image in ready],
            asked.near,
        )
        splits = _split(rows, links, read, asked, seed)
        findings += mixture_findings([image.facts for image in ready], asked.style, asked.allowed)
        findings += duplicate_findings(links, rows, splits, asked.allowed)
        if read.has_splits:
            where = [str(row.split) for row in read.rows]
            findings += animal_findings(read.rows, where, asked.allowed)
        elif len(ready) == len(read.rows):
            # Splits of a part of the images would say nothing.
            findings += animal_findings(rows, splits, asked.allowed)
        # One more line of the list; by itself it is told after what would be built.
        place = [Finding(ERROR, refusal.code, refusal.sentence)] if refusal is not None else []
        if any(finding.level == ERROR for finding in findings):
            findings += place
        stop_if_unfit(findings)
        counts = {split: splits.count(split) for split in (*STEMS, "training") if split in splits}
        classes = _classes(rows, splits)
        if stash is None:
            return Built(output, manifest, {}, counts, tuple(findings), False, classes, refusal)
        names = names_of(ready, _key(seed, "names"))
        zips = write_zips(output, ready, splits, names, stash, asked.style, report)
        content = {
            "form": FORM,
            "note": "private: tells which photograph became which image, and every label",
            "parameters": parameters | {"seed": str(seed)},
            "zips": zips,
            "images": records_of(ready, splits, names, images),
        }
        install(output, manifest, content)
        stash.clear()
    hashes = recorded_zips(content)
    return Built(output, manifest, hashes, counts, tuple(findings), True, classes)


def _classes(rows: Sequence[Row], splits: Sequence[str]) -> dict[tuple[str, str, bool], int]:
    return dict(Counter((split, *row.label) for row, split in zip(rows, splits, strict=True)))


def _parameters(labels: Path, read: Labels, asked: Options) -> dict[str, Any]:
    """Return everything but the photographs that decides what is written."""
    return {
        "version": __version__,
        "pillow": pillow,
        "preparer": PREPARER,
        "labels": sha256_file(labels),
        "style": asdict(asked.style),
        "shares": None if read.has_splits else dict(asked.shares or SHARES),
        "specimen": read.specimen_column,
        "near": asked.near,
        "allowed": sorted(asked.allowed),
        "seed": None if asked.seed is None else str(asked.seed),
    }


def _splits_named(read: Labels, asked: Options) -> list[str]:
    """Return which splits there will be."""
    if read.has_splits:
        return sorted({str(row.split) for row in read.rows})
    return [split for split, share in (asked.shares or SHARES).items() if share > 0]


def _files(
    images: Path, read: Labels, asked: Options
) -> tuple[list[tuple[Row, Path]], list[Finding]]:
    matches = match(read.rows, list_files(images))
    found = [
        (row, images / matches.found[row.filename])
        for row in read.rows
        if row.filename in matches.found
    ]
    if not found:
        raise BundleError(
            "images-folder",
            f"No row of the labels has an image in {images} (the first is "
            f"{read.rows[0].filename!r}); name the folder that holds the images.",
        )
    return found, file_findings(matches.faults, asked.allowed)


def _already_there(
    output: Path,
    manifest: Path,
    parameters: Mapping[str, Any],
    found: Sequence[tuple[Row, Path]],
    findings: Sequence[Finding],
) -> Built | None:
    """Return the build that is in place if it is what the same build would make again."""
    content = read_manifest(manifest)
    if content is None or content.get("parameters") != parameters:
        return None
    records = {one.get("filename"): one for one in content["images"]}
    if records.keys() != {row.filename for row, _ in found}:
        return None
    zips = recorded_zips(content)
    for name, digest in zips.items():
        if not (output / name).is_file() or sha256_file(output / name) != digest:
            return None
    for row, path in found:
        if path.is_symlink() or sha256_file(path) != records[row.filename].get("sha256"):
            return None
    counts = Counter(str(one.get("split")) for one in content["images"])
    splits = [str(records[row.filename].get("split")) for row, _ in found]
    classes = _classes([row for row, _ in found], splits)
    return Built(output, manifest, zips, dict(counts), tuple(findings), False, classes)


def _prepare_all(
    found: Sequence[tuple[Row, Path]],
    asked: Options,
    stash: Stash | None,
    report: Callable[[str], None],
) -> tuple[list[Ready], dict[str, list[str]]]:
    def one(pair: tuple[Row, Path]) -> Ready | tuple[str, str]:
        row, path = pair
        try:
            data = read_image(path)
            facts = None if stash is None else stash.get(_sha256(data), asked.style)
            if facts is None:
                published, facts = prepare(data, asked.style)
                if stash is not None:
                    stash.put(published, facts, asked.style)
        except UnfitImage as fault:
            return fault.code, f"{row.filename}: {fault.reason}"
        return Ready(row, path, facts)

    ready: list[Ready] = []
    faults: dict[str, list[str]] = {}
    for result in work_through("reading", found, one, workers=asked.workers, report=report):
        if not isinstance(result, Ready):
            faults.setdefault(result[0], []).append(result[1])
            continue
        ready.append(result)
        for code, reason in result.facts.notes:
            faults.setdefault(code, []).append(f"{result.row.filename}: {reason}")
    return ready, faults


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _split(
    rows: Sequence[Row],
    links: Sequence[Link],
    read: Labels,
    asked: Options,
    seed: int,
) -> list[str]:
    if read.has_splits:
        return [str(row.split) for row in rows]
    together = [(link.first, link.second) for link in links]
    first: dict[str, int] = {}
    for i, row in enumerate(rows):
        if row.specimen is not None and first.setdefault(row.specimen, i) != i:
            together.append((first[row.specimen], i))
    units = components(len(rows), together)
    return make_splits(rows, units, asked.shares or SHARES, _key(seed, "splits"))


def _key(seed: int, use: str) -> bytes:
    return f"{use}/{seed}".encode()
