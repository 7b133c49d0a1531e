"""What is wrong with images and labels: collected, told all at once, some of it allowable."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mimicry.errors import one_line

ERROR = "error"
WARNING = "warning"
SHOWN = 20

# What an organiser may know better than this program: code -> what allowing it means.
ALLOWABLE = MappingProxyType(
    {
        "image-unlabelled": "images without a label are left out",
        "image-transparent": "transparent images are put on white",
        "image-turned": "images that lie on their side stay so",
        "image-profile": "colours are taken as they are stored",
        "images-mixed": "formats and modes differ between images",
        "specimen-shared": "a specimen is in several splits",
        "specimen-labels": "a specimen has different labels",
        "duplicate-across": "images that look alike are in several splits",
        "duplicate-labels": "images that look alike have different labels",
        "training-reveals": "training images show what is to be found",
    }
)


@dataclass(frozen=True)
class Finding:
    """One kind of fault and everything that has it.

    Attributes
    ----------
    level : {"error", "warning"}
        Errors stop the build.
    code : str
        Stable name.
    sentence : str
        What is wrong and what to do.
    items : tuple of str
        The files, rows or pairs, each with its reason where reasons differ.
    """

    level: str
    code: str
    sentence: str
    items: tuple[str, ...] = ()

    def lines(self, shown: int = SHOWN) -> list[str]:
        """Return the lines to print: the sentence, then at most `shown` items."""
        head = f"{self.level:7} {one_line(self.sentence)} [{self.code}]"
        rest = [f"        {one_line(item, 300)}" for item in self.items[:shown]]
        left = len(self.items) - shown
        return [head, *rest, *([f"        and {left:,} more"] if left > 0 else [])]


def judge(
    sentences: Mapping[str, str],
    faults: Mapping[str, Sequence[str]],
    allowed: Iterable[str],
    warnings: Iterable[str] = (),
) -> list[Finding]:
    """Return one finding for each code that has items.

    Parameters
    ----------
    sentences : mapping
        Code -> sentence; ``%d`` stands for the number of items, ``{one|several}`` for the
        word that goes with it. Its order is kept.
    faults : mapping
        Code -> items.
    allowed, warnings : iterable of str
        Codes that do not stop the build.
    """
    mild = {*allowed, *warnings}
    found = []
    for code, sentence in sentences.items():
        items = tuple(faults.get(code, ()))
        if not items:
            continue
        text = _numbered(sentence, len(items))
        if code in ALLOWABLE and code not in mild:
            text += f" If you know better: --allow {code} ({ALLOWABLE[code]})."
        found.append(Finding(WARNING if code in mild else ERROR, code, text, items))
    return found


def _numbered(sentence: str, count: int) -> str:
    chosen = re.sub(r"\{([^|{}]*)\|([^|{}]*)\}", r"\1" if count == 1 else r"\2", sentence)
    return chosen.replace("%d", f"{count:,}")
