"""What a model can still do, on which engine, and why that is accepted: the only such list."""

import re
from typing import NamedTuple


class Documented(NamedTuple):
    """One accepted exception.

    Attributes
    ----------
    engine : str
        Where it holds.
    case : str
        The case that shows it.
    what : str
        Pattern of the attempts that succeed, as the case names them.
    reason : str
        Why it is accepted; ``docs/security.md`` repeats it.
    """

    engine: str
    case: str
    what: str
    reason: str


EXCEPTIONS = (
    Documented(
        "subprocess",
        "service-sockets",
        r"socket /.*",
        "the user's own services listen on sockets that are files, which Landlock does not guard",
    ),
    Documented(
        "subprocess",
        "shared-memory",
        r"leftover /dev/shm/.*",
        "the machine's shared memory is used, and what a model leaves there stays until removed",
    ),
)


def accepted(engine: str, case: str, what: str) -> bool:
    """Tell whether an attempt that succeeded is on the list."""
    return any(
        (one.engine, one.case) == (engine, case) and re.fullmatch(one.what, what)
        for one in EXCEPTIONS
    )
