"""Known names, and what somebody meant who wrote another one.

Look-alike letters are found by folding: compatibility forms (full-width letters), case,
invisible characters, white space and the Cyrillic and Greek letters that look Latin are
mapped to one spelling.
"""

import difflib
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from mimicry.realign.json_faults import quoted

# Longer names are told, but no meaning is sought: comparing costs their length squared.
LONGEST_COMPARED = 200
# Pairs of characters that one guess may compare, about 0.1 s: as long as the known names
# take no more, all are compared, else only the neighbours in the alphabet.
MOST_WORK = 1_000_000
NEIGHBOURS = 40
CLOSE = 0.75

_LOOKS_LIKE = str.maketrans(
    # Cyrillic, after folding of case.
    dict(zip("авеиіјкмнопрсһтухѕԁԛԝӏґ", "abeuijkmhonpchtyxsdqwlr", strict=True))
    # Greek.
    | dict(zip("αβεικηνορτυχγ", "abeiknvoptuxy", strict=True))
    # Dashes, and letters of other origin.
    | dict(zip("‐‑‒–—―−⁃ıɑɡ", "--------iag", strict=True))
)


def fold(name: str) -> str:
    """Return the spelling that `name` shares with all its look-alikes."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
        name = "".join(c for c in name if unicodedata.category(c) not in {"Cf", "Mn", "Cc"})
    folded = name.casefold()
    if not folded.isascii():
        folded = folded.translate(_LOOKS_LIKE)
    return "".join(folded.split())


class KnownNames:
    """A set of names to look up, and to guess what an unknown one means.

    Parameters
    ----------
    names : iterable of str
        The known names; indexes for guessing are made when first needed.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._folded: dict[str, str] | None = None
        self._ordered: Sequence[str] | None = None
        self._characters = 0

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def hint(self, name: str, *, guess: bool = True) -> str:
        """Return what may be meant by an unknown name, as the end of a sentence.

        Parameters
        ----------
        name : str
            Any text; long ones get no hint.
        guess : bool
            Also look for similar names, which takes up to 0.1 s; look-alikes cost nothing.

        Returns
        -------
        str
            Empty, or ``; it holds U+0430 CYRILLIC SMALL LETTER A: write "resnet50"``,
            ``; case and spaces count: write ...`` or ``; perhaps ... is meant``.
        """
        if len(name) > LONGEST_COMPARED:
            return ""
        if self._folded is None:
            self._folded = {}
            for known in self._names:
                self._folded.setdefault(fold(known), known)
        meant = self._folded.get(fold(name))
        if meant is not None:
            odd = next((c for c in name if not c.isascii() and c not in meant), None)
            if odd is None:
                return f"; case and spaces count: write {quoted(meant)}"
            title = unicodedata.name(odd, "without a name")
            return f"; it holds U+{ord(odd):04X} {title}: write {quoted(meant)}"
        if not guess:
            return ""
        near = difflib.get_close_matches(name, self._candidates(name), n=1, cutoff=CLOSE)
        return f"; perhaps {quoted(near[0])} is meant" if near else ""

    def _candidates(self, name: str) -> Sequence[str]:
        if self._ordered is None:
            self._ordered = sorted(one for one in self._names if len(one) <= LONGEST_COMPARED)
            self._characters = sum(map(len, self._ordered))
        if self._characters * len(name) <= MOST_WORK:
            return self._ordered
        middle = bisect_left(self._ordered, name)
        # Names of another length are told apart without a comparison.
        few = min(NEIGHBOURS, MOST_WORK // (2 * len(name) ** 2))
        return self._ordered[max(0, middle - few) : middle + few]
