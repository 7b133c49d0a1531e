"""Activations of several models over the same stimuli, read one model at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from mimicry.similarity.arrays import Features, check_shape, read_features

Progress: TypeAlias = Callable[[int, int], object]


class Source:
    """Activations of several models over the same stimuli, read one model at a time.

    Parameters
    ----------
    activations : sequence or re-iterable of array_like, each (n, d_m)
        Memory-mapped arrays are read when their turn comes. An object is read
        several times where an algorithm takes several passes.
    names : sequence of str, optional
        What errors call the arrays; "activations[3]" and so on by default.
    progress : callable, optional
        Called as ``progress(done, total)`` after every model read.

    Raises
    ------
    TypeError
        `activations` is an iterator, which can be read only once.
    ValueError
        Less than two models, or an array whose shape does not fit.
    """

    def __init__(
        self,
        activations: Iterable[object],
        names: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if isinstance(activations, Iterator):
            raise TypeError("activations are read more than once: pass a sequence, no iterator")
        self._activations = activations
        self._by_index = hasattr(activations, "__getitem__") and hasattr(activations, "__len__")
        self._progress = progress
        self.shapes = tuple(_shape(array) for array in activations)
        self.names = (
            tuple(names)
            if names is not None
            else tuple(f"activations[{index}]" for index in range(len(self.shapes)))
        )
        if len(self.shapes) < 2:
            raise ValueError(f"a comparison needs at least 2 models, not {len(self.shapes)}")
        for shape, name in zip(self.shapes, self.names, strict=True):
            check_shape(shape, name)
            if shape[0] != self.shapes[0][0]:
                raise ValueError(
                    f"{name} has {shape[0]} stimuli, but {self.names[0]} has {self.shapes[0][0]}: "
                    "all must be over the same stimuli"
                )
        self._first: tuple[str, str] | None = None
        self._done = 0
        self._expected = self.count

    @property
    def count(self) -> int:
        """Number of models."""
        return len(self.shapes)

    @property
    def stimuli(self) -> int:
        """Number of stimuli."""
        return self.shapes[0][0]

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of features of every model."""
        return tuple(shape[1] for shape in self.shapes)

    def expect(self, readings: int) -> None:
        """Announce how many arrays will be read in all, for the progress."""
        self._expected = readings

    def read(self, indices: Sequence[int] | None = None) -> Iterator[Features]:
        """Yield the features of the models asked for, all by default, in ascending order.

        Raises
        ------
        ValueError
            An array is not as `read_features` wants it, or is of another library or
            on another device than the first one.
        """
        wanted = range(self.count) if indices is None else indices
        for index, array in self._arrays(wanted):
            features = read_features(array, self.names[index])
            if tuple(features.values.shape) != self.shapes[index]:
                raise ValueError(f"{self.names[index]} changed its shape between two readings")
            place = (features.xp.__name__, str(getattr(features.values, "device", "cpu")))
            self._first = self._first or place
            if place != self._first:
                raise ValueError(
                    f"{self.names[index]} is of {place[0]} on {place[1]}, but others are of "
                    f"{self._first[0]} on {self._first[1]}: bring all to one library and device"
                )
            self._done += 1
            yield features
            if self._progress is not None:
                self._progress(self._done, max(self._done, self._expected))

    def _arrays(self, wanted: Sequence[int]) -> Iterator[tuple[int, object]]:
        if self._by_index:
            for index in wanted:
                yield index, self._activations[index]  # type: ignore[index]
            return
        chosen = frozenset(wanted)
        for index, array in enumerate(self._activations):
            if index in chosen:
                yield index, array


def _shape(array: object) -> tuple[int, ...]:
    shape = getattr(array, "shape", None)
    return tuple(int(size) for size in (np.asarray(array).shape if shape is None else shape))
