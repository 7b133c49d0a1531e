"""What every rule of a validation is given."""

import difflib
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mimicry.codabench.reading.document import Document, Keys
from mimicry.codabench.reading.section import is_uuid
from mimicry.codabench.validation.finding import Notes
from mimicry.codabench.validation.source import (
    FolderSource,
    PartSource,
    SourceError,
    ZipSource,
)
from mimicry.codabench.validation.tree import Tree

Dataset = FolderSource | PartSource | ZipSource

READ_BUDGET = 192 * 1024 * 1024
"""Bytes of data sets that one validation reads at most; what is left over is told."""
TEXT_BUDGET = 16 * 1024 * 1024
"""Bytes of text that are compared with the reference data row by row at most."""
SEARCH_BUDGET = 4 * 1024**3
"""Bytes times patterns that are searched for hidden labels at most."""


@dataclass
class Budget:
    """Bytes that may still be read."""

    left: int = READ_BUDGET

    def take(self, size: int) -> bool:
        """Tell whether `size` bytes may be read, and count them."""
        if size > self.left:
            return False
        self.left -= size
        return True


@dataclass(frozen=True)
class Context:
    """A bundle that is being looked at.

    Attributes
    ----------
    tree : Tree
        Its files.
    notes : Notes
        Where findings go.
    budget : Budget
        What may still be read of data sets.
    text : Budget
        What may still be compared row by row.
    search : Budget
        What may still be searched for hidden labels.
    images : Budget
        What may still be read to compare images.
    """

    tree: Tree
    notes: Notes
    budget: Budget = field(default_factory=Budget)
    text: Budget = field(default_factory=lambda: Budget(TEXT_BUDGET))
    search: Budget = field(default_factory=lambda: Budget(SEARCH_BUDGET))
    images: Budget = field(default_factory=Budget)
    _datasets: dict[str, Dataset | SourceError] = field(default_factory=dict)

    def path(self, document: Document, keys: Keys, value: object) -> str | None:
        """Return the path that a key names, in normal form; None where a fault was noted."""
        if not isinstance(value, str) or not document.sound(keys) or is_uuid(value.strip()):
            return None
        path = PurePosixPath(value.strip()).as_posix()
        return None if path == "." else path

    def dataset(self, path: str) -> Dataset:
        """Return what the platform would zip or store for a path, opened once.

        Raises
        ------
        SourceError
            Where it cannot be opened as a zip or a folder.
        """
        if path not in self._datasets:
            try:
                self._datasets[path] = (
                    self.tree.folder(path)
                    if self.tree.kind(path) == "folder"
                    else self.tree.archive(path)
                )
            except SourceError as error:
                self._datasets[path] = error
        found = self._datasets[path]
        if isinstance(found, SourceError):
            raise found
        return found

    def near(self, path: str) -> str | None:
        """Return a path that is there and looks like `path`."""
        parent = PurePosixPath(path).parent
        names = self.tree.names(parent.as_posix())
        found = difflib.get_close_matches(PurePosixPath(path).name, names[:2000], 1, 0.6)
        return (parent / found[0]).as_posix() if found else None
