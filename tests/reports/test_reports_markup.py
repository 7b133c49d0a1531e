"""HTML as elements: texts stay texts."""

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.reports.markup import element, group, written


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


# The parser reads line ends as browsers do; all other texts must come back as they were.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs"]), max_size=60)


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_any_text_comes_back_as_it_was(text: str, tail: str, value: str) -> None:
    found = read(written(element("p", text, element("b", tail), tail, title=value)))
    assert [tag for tag, _ in found.tags] == ["p", "b"]
    assert found.tags[0][1] == {"title": value}
    unfit = str.maketrans(dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd"))
    assert found.text == (text + tail + tail).translate(unfit)


def test_what_turns_or_breaks_a_text_is_replaced() -> None:
    for bad in ("\u202e", "\u2066", "\x00", "\x1b", "\x85", "\ud800", "\uffff"):
        found = read(written(element("p", f"a{bad}b", title=f"c{bad}d")))
        assert found.text == "a\ufffdb"
        assert found.tags == [("p", {"title": "c\ufffdd"})]
    assert read(written(element("p", "a\tb\nc"))).text == "a\tb\nc"


def test_markup_in_texts_and_attributes_is_text() -> None:
    attack = '"><script>alert(1)</script><!-- & &lt; '
    found = read(written(element("p", attack, title=attack)))
    assert found.text == attack
    assert found.tags == [("p", {"title": attack})]


def test_attributes_are_written_as_html_wants_them() -> None:
    made = element(
        "svg",
        class_="a",
        aria_label="b",
        viewBox="0 0 1 1",
        hidden=True,
        open=False,
        id=None,
        x=0.126,
        y=10.0,
        z=-0.0,
        n=12,
    )
    assert written(made) == (
        '<svg class="a" aria-label="b" viewBox="0 0 1 1" hidden="" x="0.13" y="10" z="0" '
        'n="12"></svg>'
    )


def test_nothing_is_left_out_but_none() -> None:
    made = group(["a", None, element("br"), "", "b"], "p", class_="c")
    assert written(made) == '<p class="c">a<br>b</p>'
