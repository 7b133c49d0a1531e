"""The page of a run without scores, and the list of errors on it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.errors import MimicryError
from mimicry.reports.catalogue import MODELS, REALIGN, Section, find
from mimicry.reports.failure import failure_page, places

PAGES = Path(__file__).resolve().parents[2] / "pages"
VOID = {"meta", "br", "link"}


class Reader(HTMLParser):
    """Collects text and tags; checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert set(reader.addresses) == {"data:,", "#errors"}
    assert not {"script", "img", "iframe"} & set(reader.tags)
    assert "url(" not in page
    assert len(page.encode()) < 60_000
    return reader


@pytest.mark.parametrize(
    ("kind", "who", "advice"),
    [
        ("submission", "You: it is the submission's", "Change the submission and submit again"),
        ("bundle", "The organisers: the competition's data", "Nothing is wrong"),
        ("bug", "The organisers: the program itself failed", "as far as is known"),
        ("anything", "The organisers: the program itself failed", "as far as is known"),
    ],
)
def test_the_page_tells_reason_code_and_who_mends_it(kind: str, who: str, advice: str) -> None:
    sentence = 'Image 3: <script>alert("x")</script> & more.'
    text = read(
        failure_page("Task <A>", sentence, "bad-<score>", kind, "0.1.0", "hybrid · Final")
    ).text
    for part in (sentence, "bad-<score>", who, advice, "Task <A>", "hybrid · Final", "0.1.0"):
        assert part in text
    assert "This run has no scores" in text
    assert "the tab Errors of the competition" in text


def test_the_page_tells_cause_and_cure_of_a_known_code() -> None:
    page = failure_page("T", "predict returned None, for image 2 of 9.", *("bad-score",) * 2, "1")
    assert "Cause: " not in page  # of another kind: the organisers' to mend
    page = failure_page(
        "T", "predict returned None, for image 2 of 9.", "bad-score", "submission", "1"
    )
    text = read(page).text
    assert "Cause: what was returned for an image is not one real number." in text
    assert "Cure: return a float, an int, a NumPy scalar" in text
    assert "Where: image 2 of 9" in text
    assert page.count('class="here"') == 2


def test_a_code_that_is_not_listed_refers_to_the_sentence() -> None:
    text = read(failure_page("T", "x", "not-listed", "submission", "1")).text
    assert "The sentence above says what is wrong." in text
    text = read(failure_page("T", "x", "reference-row", "bundle", "1")).text
    assert "The sentence above" not in text


def test_several_faults_stand_one_a_line() -> None:
    parts = ("team.json: 3 faults", "`models` names 2; name 4", 'models[0] <b>"a; b"', "and 1 more")
    sentence = f"{parts[0]}: {'; '.join(parts[1:])}."
    page = failure_page("T", sentence, "submission-invalid", "submission", "1", parts=parts)
    text = read(page).text
    assert '<p class="lead">team.json: 3 faults:</p><ul><li><code>models</code> names 2' in page
    assert '<li>models[0] &lt;b&gt;"a; b"</li><li>and 1 more</li></ul>' in page
    assert "The sentence above" not in text and "Where: " not in text and "; models" not in text
    assert "Cause: several faults of different kinds" in text
    alone = failure_page("T", sentence, "submission-invalid", "submission", "1")
    assert sentence.replace("`", "") in read(alone).text


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("set `a` and `b`.", "set <code>a</code> and <code>b</code>."),
        ("`a` b` c", "<code>a</code> b` c"),
        ("`", "`"),
        ("a `` b", "a `` b"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
    ],
)
def test_backticks_are_code(sentence: str, shown: str) -> None:
    page = failure_page("T", sentence, "x", "submission", "1")
    assert f'<p class="lead">{shown}</p>' in page
    for part in (sentence, "x"):
        listed = failure_page("T", sentence, "x", "submission", "1", parts=("x", part))
        assert f"<li>{shown if part == sentence else 'x'}</li>" in listed


def test_only_the_list_of_a_code_is_shown_where_one_list_has_it() -> None:
    model = read(failure_page("T", "x", "bad-score", "submission", "1")).text
    realign = read(failure_page("T", "x", "json-syntax", "submission", "1")).text
    both = read(failure_page("T", "x", "not-a-zip", "submission", "1")).text
    assert "no-predict" in model and "json-empty" not in model
    assert "json-empty" in realign and "no-predict" not in realign
    assert "json-empty" in both and "no-predict" in both


def test_the_list_opens_when_it_is_linked_to() -> None:
    page = failure_page("T", "x", "bug", "bug", "1")
    assert '<details id="errors">' in page
    assert "details:target::details-content{content-visibility:visible" in page


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (
            "the model failed on image 1,017 of 1,175 with ValueError: bad "
            "(nets/head.py, line 12).",
            ["image 1,017 of 1,175", "nets/head.py, line 12"],
        ),
        (
            "model.py cannot be imported: SyntaxError: invalid syntax (model.py, line 3). Run it.",
            ["model.py, line 3"],
        ),
        ("the model was ended after 20 of 1,175 images by SIGKILL.", ["after 20 of 1,175 images"]),
        (
            "requirements.txt: line 3: torch 9 is not allowed; line 7: x. Mend these lines.",
            ["requirements.txt, line 3", "requirements.txt, line 7"],
        ),
        (
            "team.json: line 1,003, column 5: a comma before the closing ]; remove the comma.",
            ["team.json, line 1,003, column 5"],
        ),
        (
            "team.json: is not UTF-8 text (line 3, byte 20 of the file); save it as UTF-8.",
            ["team.json, line 3, byte 20"],
        ),
        (
            "red.json: 2 faults: differentiating_images[3].dataset_name is missing; "
            'models[12] "a".',
            ["red.json, differentiating_images[3].dataset_name", "red.json, models[12]"],
        ),
        (
            'predictions.csv cannot be graded: 2 rows name an unknown image (row 3 "x", '
            'row 3 "y").',
            ["predictions.csv, row 3"],
        ),
        ("model.py is not at the zip's root. Zip the contents of the folder.", []),
        ("class Model in model.py has no method load(). Define it, empty if need be.", []),
        ("over 95 % of the timeline 3 are gone", []),
    ],
)
def test_places_are_found_in_real_sentences(sentence: str, found: list[str]) -> None:
    assert places(sentence) == found
    text = read(failure_page("T", sentence, "x", "submission", "1")).text
    assert ("Where: " in text) == bool(found)


def test_many_places_are_counted() -> None:
    sentence = "; ".join(f"models[{place}] is wrong" for place in range(20))
    text = read(failure_page("T", sentence, "x", "submission", "1")).text
    assert "and 12 more" in text


@pytest.mark.parametrize(
    "text",
    [
        "</p></div></main><script>alert(1)</script>",
        "W" * 2_000,
        "\u202egnp.exe\u2066 \x00\x1b[31m",
        "\ud800",
        "(" * 2_000,
        "models[1]." * 500,
        "(a, line 1" * 400,
        "]]><!--<style>*{display:none}",
    ],
)
def test_hostile_sentences_do_not_break_the_page(text: str) -> None:
    page = failure_page("T", text, text, "submission", text, text)
    found = read(page)
    assert "This run has no scores" in found.text
    assert not {"\u202e", "\u2066", "\x00", "\x1b", "\ud800"} & set(page)
    page.encode("utf-8")


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_sentence_stands_on_the_page(text: str) -> None:
    sentence = MimicryError("code", text).sentence
    found = read(failure_page("T", sentence, "code", "submission", "1"))
    shown = re.sub(r"[\ufffe\uffff]", "\ufffd", sentence)
    assert shown.replace("`", "") in found.text.replace("`", "")
    places(text)


def tables(name: str) -> list[tuple[str, list[list[str]]]]:
    """Read the tables of codes on a page of the competition: heading, and cells by row."""
    found: list[tuple[str, list[list[str]]]] = []
    heading, inside = "", False
    for line in (PAGES / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        inside = line.startswith("|") and (inside or line.startswith("| Code |"))
        if not inside or set(line) <= set("|-"):
            continue
        if line.startswith("| Code |"):
            found.append((heading, []))
        else:
            found[-1][1].append([cell.strip() for cell in line.strip("| ").split(" | ")])
    return found


@pytest.mark.parametrize(
    ("name", "sections"), [("errors.md", MODELS), ("errors-realign.md", REALIGN)]
)
def test_the_list_is_that_of_the_competition_pages(
    name: str, sections: tuple[Section, ...]
) -> None:
    written = [
        (
            section.heading,
            [
                [
                    ", ".join(f"`{code}`" for code in entry.codes.split()),
                    *([entry.cause] if entry.cause else []),
                    entry.cure,
                ]
                for entry in section.entries
            ],
        )
        for section in sections
    ]
    assert tables(name) == written
    assert sum(len(rows) for _, rows in written) > 20


def test_codes_are_found_in_the_lists_that_have_them() -> None:
    assert [sections is MODELS for sections, _ in find("not-a-zip")] == [True, False]
    assert [entry.codes for _, entry in find("zip-bomb")] == ["zip-overlap zip-bomb"]
    assert find("zip") == find("") == find("zip-overlap zip-bomb") == []
