"""The pages of scored and failed runs."""

from html.parser import HTMLParser

import pytest

from mimicry.reports.failure import failure_page
from mimicry.reports.hybrids import ScoreRow, results_page
from mimicry.reports.layout import page

VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Collects text and what could load something; checks that tags are balanced."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.addresses = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(document):
    checker = Checker()
    checker.feed(document)
    checker.close()
    assert checker.open == []
    assert checker.addresses == []
    assert not {"script", "img", "link", "iframe"} & set(checker.tags)
    assert "url(" not in document and "@import" not in document
    return checker


ROWS = [
    ScoreRow("score", "Score <1>", 0.123456, "Higher & better."),
    ScoreRow("other", "Other", 1.0, "Another."),
]


def test_the_results_page_shows_every_column_with_four_decimals():
    text = " ".join(read(results_page("Mimics", ROWS, 1175, 61.27, 1.04, "0.1.0")).text)
    for part in ("Mimics", "Score <1>", "0.1235", "1.0000", "Higher & better.", "1,175 images"):
        assert part in text
    assert "ingestion 61.3 s, scoring 1.0 s" in text


def test_the_results_page_does_without_the_time_of_ingestion():
    text = " ".join(read(results_page("Mimics", ROWS, 3, None, 1.0, "0.1.0")).text)
    assert "Time: scoring 1.0 s" in text


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("submission", "submission's to mend"),
        ("bundle", "Nothing is wrong with the submission"),
        ("bug", "the program itself failed"),
        ("anything", "the program itself failed"),
    ],
)
def test_the_failure_page_tells_reason_code_and_what_to_do(kind, advice):
    sentence = 'Image 3: <script>alert("x")</script> & more.'
    checker = read(failure_page("Task <A>", sentence, "bad-value", kind, "0.1.0"))
    text = " ".join(checker.text)
    for part in (sentence, "bad-value", advice, "Task <A>", "no scores"):
        assert part in text


def test_pages_fit_phones_dark_rooms_and_load_nothing():
    document = page("Title", "<p>Body</p>")
    read(document)
    assert document.startswith("<!doctype html>")
    assert "width=device-width" in document
    assert "prefers-color-scheme:dark" in document
    assert "default-src 'none'" in document
