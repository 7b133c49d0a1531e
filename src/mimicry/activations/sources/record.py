"""What a source records of a model."""

from typing import NamedTuple


class SourceRecord(NamedTuple):
    """What a source records of a model, found without building it.

    Attributes
    ----------
    tag : str or None
        The source's own name of the weights that the entry asks for.
    interpolation : str or None
        Of the resizing, as recorded with the weights; None where nothing is recorded.
    family : str
        Groups architectures that are built alike; what aliases of layers go by.
    """

    tag: str | None
    interpolation: str | None
    family: str = ""
