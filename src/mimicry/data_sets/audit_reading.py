"""Reads a task's zips for the audit: every image once, none of them trusted."""

import hashlib
import io
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from PIL import Image
from tqdm import tqdm

from mimicry.codabench.validation.source import SourceError, ZipSource, normal
from mimicry.data_sets.audit_encoding import measure_file
from mimicry.data_sets.audit_pixels import measure_pixels
from mimicry.data_sets.properties import PICTURE, Listed, Measures, measure_listing
from mimicry.errors import BundleError
from mimicry.files import is_clutter
from mimicry.hybrids.reference import Reference, parse_reference
from mimicry.hybrids.tables import MAX_TABLE_BYTES
from mimicry.ingestion.images import LARGEST_IMAGE

LARGEST_FILE = 512 * 1024 * 1024
"""Bytes of an image file that are read at most."""
SHOWN = 5

_STEP = 0.02
# Six standard deviations, where a quarter of a normal distribution lies within 0.64 of one.
_WIDTHS = 9.4


class Measured(dict[bytes, Measures]):
    """What has been measured, by the SHA-256 of the file: sets share images."""


def read_labels(path: Path) -> Reference:
    """Return the labels of a reference zip.

    Raises
    ------
    BundleError
        `data-missing`, `data-zip`, `data-reference`, and what
        `mimicry.hybrids.reference.parse_reference` finds.
    """
    with ExitStack() as stack:
        source = _open(path, stack)
        names = [name for name in source.entries if not is_clutter(name)]
        if len(names) != 1 or not names[0].lower().endswith(".csv"):
            raise BundleError(
                "data-reference",
                f"{shown(path)} must hold one CSV and nothing else, but holds {_first(names)}. "
                "Audit the labels before they are sealed, or zip the CSV by itself.",
            )
        size = source.entries[names[0]].size
        if size > MAX_TABLE_BYTES:
            raise BundleError(
                "data-reference",
                f"{shown(path)}: {names[0]} is larger than {MAX_TABLE_BYTES:,} bytes; "
                "leave the columns filename, hybrid_stat and ssp_indicator.",
            )
        table = _read(source, names[0], path, MAX_TABLE_BYTES)
    return parse_reference(table, f"{shown(path)}:{names[0]}")


def measure_images(
    path: Path, reference: Reference, known: Measured, report: Callable[[str], None]
) -> list[Measures]:
    """Measure every labelled image of an input zip, in the order of the labels.

    Parameters
    ----------
    path : Path
        The zip of images.
    reference : Reference
    known : Measured
        Images measured before; gets those that are new.
    report : callable
        Gets lines of progress where no bar can be drawn.

    Raises
    ------
    BundleError
        `data-missing`, `data-zip`, `data-names`, or `data-image` with every image that
        cannot be read (the first ones by name).
    """
    # Pillow's own guard is below what ingestion takes; sizes are checked before decoding.
    Image.MAX_IMAGE_PIXELS = None
    with ExitStack() as stack:
        source = _open(path, stack)
        listed = _listed(source, reference, path)
        digests, copies = _measure_all(source, listed, path, known, report)
    pixels = Counter(known[digest]["copies.pixels"] for digest in digests)
    found = []
    for digest, measures in zip(digests, measure_listing(listed), strict=True):
        of_bytes = known[digest]
        found.append(
            measures
            | of_bytes
            | {
                PICTURE: of_bytes["copies.pixels"],
                "copies.files": float(copies[digest]),
                "copies.pixels": float(pixels[of_bytes["copies.pixels"]]),
            }
        )
    _flatten_excess(found)
    return found


def _measure_all(
    source: ZipSource,
    listed: Sequence[Listed],
    path: Path,
    known: Measured,
    report: Callable[[str], None],
) -> tuple[list[bytes], Counter[bytes]]:
    digests: list[bytes] = []
    faults: list[str] = []
    workers = len(os.sched_getaffinity(0))
    waiting: deque[tuple[str, bytes, Future[Measures]]] = deque()
    begun: set[bytes] = set()

    def collect(most: int) -> None:
        while len(waiting) > most:
            name, digest, future = waiting.popleft()
            try:
                known[digest] = future.result()
            except Exception as error:
                # Decoders of damaged images raise almost anything.
                faults.append(f"{name} ({type(error).__name__}: {str(error)[:120]})")

    # Threads do: decoding and the sums over pixels leave the interpreter's lock.
    with ThreadPoolExecutor(workers) as pool:
        bar = tqdm(listed, f"measuring {shown(path)}", unit="img", disable=not sys.stderr.isatty())
        try:
            for done, image in enumerate(bar, start=1):
                try:
                    data = _read(source, normal(image.name), path, LARGEST_FILE)
                except BundleError as error:
                    faults.append(error.sentence)
                    continue
                digest = hashlib.sha256(data).digest()
                digests.append(digest)
                if digest not in known and digest not in begun:
                    begun.add(digest)
                    waiting.append((image.name, digest, pool.submit(_measure, data)))
                collect(2 * workers)
                if bar.disable and done * 4 // len(listed) > (done - 1) * 4 // len(listed):
                    report(f"measured {shown(path)}: {done:,} of {len(listed):,} images")
            collect(0)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if faults:
        raise BundleError(
            "data-image",
            f"{shown(path)}: {len(faults):,} of {len(listed):,} images cannot be read: "
            f"{_first(faults)}. Replace them.",
        )
    return digests, Counter(digests)


def _measure(data: bytes) -> Measures:
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        if width * height > LARGEST_IMAGE:
            raise ValueError(f"{width:,} x {height:,} pixels are more than {LARGEST_IMAGE:,}")
        image.load()
        return measure_file(data, image) | measure_pixels(image, len(data))


def _flatten_excess(found: Sequence[Measures]) -> None:
    """Count excess bytes in steps that what pictures show cannot fill.

    A picture written anew takes a little more or less, and how much depends on it.
    """
    known = sorted(v for one in found if isinstance(v := one.get("size.excess"), float))
    if not known:
        return
    # The densest quarter, since a leak may hold half of the images.
    quarter = max(1, len(known) // 4)
    start = min(range(len(known) - quarter), key=lambda i: known[i + quarter] - known[i], default=0)
    low, high = known[start], known[min(start + quarter, len(known) - 1)]
    middle, step = (low + high) / 2, max(_STEP, _WIDTHS * (high - low))
    for one in found:
        value = one.get("size.excess")
        one["size.excess"] = (
            float(int((value - middle) / step)) if isinstance(value, float) else 0.0
        )


def _listed(source: ZipSource, reference: Reference, path: Path) -> list[Listed]:
    """Return the images in the order of their labels."""
    rows = {name: row for row, name in enumerate(reference.filenames)}
    entries = {
        info.filename: (position, info)
        for position, info in enumerate(source.infos)
        if not info.is_dir() and not is_clutter(info.filename)
    }
    missing, foreign = sorted(rows.keys() - entries.keys()), sorted(entries.keys() - rows.keys())
    if missing or foreign:
        raise BundleError(
            "data-names",
            f"{shown(path)}: {len(missing):,} labels without an image ({_first(missing)}), "
            f"{len(foreign):,} images without a label ({_first(foreign)}). "
            "Make both from the same list.",
        )
    return [Listed(name, row, *entries[name]) for name, row in rows.items()]


def _open(path: Path, stack: ExitStack) -> ZipSource:
    if not path.exists():
        raise BundleError("data-missing", f"{shown(path)}: there is no such file; check the path.")
    if not path.is_file():
        raise BundleError("data-zip", f"{shown(path)} is no zip; zip its files and name that.")
    try:
        return ZipSource(stack.enter_context(path.open("rb")))
    except (SourceError, OSError) as error:
        raise BundleError("data-zip", f"{shown(path)} {error}. Make it anew.") from None


def _read(source: ZipSource, name: str, path: Path, limit: int) -> bytes:
    try:
        if name not in source.entries or source.entries[name].size > limit:
            raise SourceError(f"is larger than {limit:,} bytes, or has an impossible name")
        return source.read(name, limit)
    except SourceError as error:
        raise BundleError(
            "data-zip", f"{shown(path)}: {name} {error}. Make the zip anew."
        ) from None


def shown(path: Path) -> str:
    """Return a path as sentences show it: the file and its folder."""
    return PurePosixPath(path.parent.name, path.name).as_posix()


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return (", ".join(name[:200] for name in names[:SHOWN]) + more) if names else "none"
