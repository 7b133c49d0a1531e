"""How large reference data are, and what that means on the platform."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Of an account, by default; decimal gigabytes.
QUOTA = 15 * 1000**3
# A worker keeps so many bytes of data sets; then it throws all of them away.
WORKER_CACHE = 10 * 1000**3
# Unpacked anew for every submission: above this, scoring waits for the disk.
LARGE = 1000**3


class Part(NamedTuple):
    """A group of files of the reference data: bytes unpacked, and bytes in the zip."""

    name: str
    files: int
    unpacked: int
    packed: int


@dataclass(frozen=True)
class SizeReport:
    """What reference data weigh.

    Attributes
    ----------
    zip_bytes : int
        Of the zip file.
    parts : tuple of Part
        Files at the zip's root one by one, folders together.
    on_worker : Part or None
        What lies in a folder of the worker instead of in the zip.
    """

    zip_bytes: int
    parts: tuple[Part, ...]
    on_worker: Part | None = None

    @property
    def unpacked(self) -> int:
        """Bytes that are written for every submission."""
        return sum(part.unpacked for part in self.parts)

    def lines(self) -> list[str]:
        """Return the report for people, advice last."""
        rows = [*self.parts, Part("the zip", 1, self.unpacked, self.zip_bytes)]
        width = max(len(part.name) for part in rows)
        lines = [
            f"{part.name:<{width}}  {size_text(part.unpacked):>9} unpacked"
            f"  {size_text(part.packed):>9} packed" + (f"  {part.files} files" * (part.files > 1))
            for part in rows
        ]
        if self.on_worker is not None:
            lines.append(
                f"{self.on_worker.name}: {size_text(self.on_worker.unpacked)} in "
                f"{self.on_worker.files} files, to be put on the worker"
            )
        # The bundle's zip is kept, and a copy for the task.
        stored = 2 * self.zip_bytes
        lines.append(
            f"on the platform: {size_text(stored)} stored (in the bundle and as the task's "
            f"data), {stored / QUOTA:.1%} of the default quota of {size_text(QUOTA)}; "
            f"{size_text(self.unpacked)} unpacked for every submission"
        )
        return lines + [f"warning: {line}" for line in self.warnings()]

    def warnings(self) -> list[str]:
        """Return what the organiser should think about."""
        found = []
        if self.unpacked > LARGE:
            found.append(
                "every submission unpacks all of it first; put the activations into a folder of "
                "your own worker with --activations FOLDER, which is read in place"
            )
        if 2 * self.zip_bytes > QUOTA:
            found.append("it does not fit into the default quota")
        elif self.zip_bytes > WORKER_CACHE:
            found.append(
                f"a worker's cache holds {size_text(WORKER_CACHE)}: it is downloaded for every "
                "submission"
            )
        return found


def zip_sizes(path: Path, on_worker: Part | None = None) -> SizeReport:
    """Return the size report of a zip of reference data."""
    parts: dict[str, Part] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.partition("/")[0] + ("/" if "/" in info.filename else "")
            old = parts.get(name, Part(name, 0, 0, 0))
            parts[name] = Part(
                name,
                old.files + 1,
                old.unpacked + info.file_size,
                old.packed + info.compress_size,
            )
    return SizeReport(path.stat().st_size, tuple(parts.values()), on_worker)


def folder_sizes(name: str, files: Sequence[Path]) -> Part:
    """Return the size of files that lie on the worker."""
    size = sum(path.stat().st_size for path in files)
    return Part(name, len(files), size, size)


def size_text(size: int) -> str:
    """Return bytes in decimal units, as the platform counts them."""
    for unit, factor in (("GB", 1000**3), ("MB", 1000**2), ("kB", 1000)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} B"
