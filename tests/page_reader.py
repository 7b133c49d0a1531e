"""A reader of our pages, for tests of every room."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page, taken apart.

    `found` holds every element as tag and attributes, `texts` every piece of text with the
    tags around it.
    """

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self._within_word = False
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # A place where a word may be broken does not end it.
        self._within_word = tag == "wbr"
        if tag == "wbr":
            return
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._within_word and self.texts:
            self._within_word = False
            self.texts[-1] = (self.texts[-1][0], self.texts[-1][1] + data)
            return
        self.texts.append((tuple(self._open), data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def hooks(self, name: str) -> list[str]:
        return [a[name] or "" for _, a in self.found if name in a]

    @property
    def words(self) -> str:
        shown = (text for around, text in self.texts if not {"script", "style"} & set(around))
        return " ".join(" ".join(shown).split())
