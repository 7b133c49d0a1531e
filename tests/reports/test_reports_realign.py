"""The pages of Blue and Red, drawn from given details: words, bounds, hostile names."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from mimicry.reports.blue import BlueDetails, Member, Pair, Spread, blue_page
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.layout import document
from mimicry.reports.realign import declared_page, scale_around, signed
from mimicry.reports.red import Chance, RedDetails, Share, Thumbnail, red_page

FACTS = Facts("Team", None, True, 0.25, [("NumPy", "2.0")])
HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)>\u202e'


class Tags(HTMLParser):
    """Collects elements, names of attributes, and text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_data(self, data: str) -> None:
        self.text += data


def blue_details(**changes: Any) -> BlueDetails:
    whole = BlueDetails(
        places=(2, 0, 1),
        cka=[[1.0, 0.5, 0.7], [0.5, 1.0, 0.6], [0.7, 0.6, 1.0]],
        cka_unbiased=[[1.0, -0.1, 0.3], [-0.1, 1.0, 0.2], [0.3, 0.2, 1.0]],
        clustered=True,
        members=[Member(0, 0.55, 0.1), Member(1, 0.65, -0.1)],
        least=[Pair(0, 2, 0.5), Pair(0, 1, 0.6)],
        most=[Pair(1, 2, 0.7), Pair(0, 1, 0.6)],
        pairs=3,
        spread=Spread(0.6, 0.01, 0.58, 0.62),
        threshold=None,
        below=[],
        below_count=0,
        bound=0.9,
        proved=True,
    )
    return whole._replace(**changes)


def red_details(**changes: Any) -> RedDetails:
    whole = RedDetails(
        divergence=[[0.0, 0.4], [0.4, 0.0]],
        divergence_unbiased=[[0.0, 1.1], [1.1, 0.0]],
        interval=(0.35, 0.45),
        chance=Chance(0.3, 0.01, 100),
        classes=[Share("cat", 6, 10), Share(None, 4, 10)],
        datasets=[Share("made", 10, 20)],
        stimuli=10,
        catalogue=20,
        thumbnails=(),
    )
    return whole._replace(**changes)


RED_ROWS = [
    ScoreRow("score", "Dissimilarity", 0.4, "Of <pairs>."),
    ScoreRow("unbiased_score", "Unbiased", 1.1, ""),
    ScoreRow("standard_error", "Error", 0.025, ""),
    ScoreRow("margin_over_random", "Margin", 0.1, ""),
    ScoreRow("class_entropy", "Entropy", 0.971, ""),
]


def drawn_blue(score: float = 0.6, **changes: Any) -> str:
    rows = [ScoreRow("score", "Score", score, "")]
    return document("Blue", *blue_page(rows, "3 models", FACTS, blue_details(**changes)))


def drawn_red(**changes: Any) -> str:
    return document("Red", *red_page(RED_ROWS, "10 stimuli", FACTS, red_details(**changes)))


def test_the_declared_page_shows_columns_time_and_versions() -> None:
    page = document("Red", *declared_page(RED_ROWS, "10 stimuli", FACTS))
    for part in ("0.4000", "1.1000", "Of &lt;pairs&gt;.", "10 stimuli", "0.2 s", "NumPy", "alone"):
        assert part in page
    assert "<svg" not in page


@pytest.mark.parametrize(("proved", "word"), [(True, "Optimum"), (False, "Proved bound")])
def test_the_bound_is_called_what_it_is(proved: bool, word: str) -> None:
    page = drawn_blue(proved=proved)
    assert word in page and ("has proved that" in page) is proved


def test_few_pairs_are_listed_once() -> None:
    page = drawn_blue()
    assert "All pairs" in page and page.count("models[0] and models[1]") == 1


def test_models_stand_by_their_place_and_the_page_says_why() -> None:
    page = drawn_blue()
    heat = page.partition('class="heat"')[2].partition("</table>")[0]
    heads = re.findall("<th[^>]*>([^<]*)", heat.replace("<thead", ""))
    assert heads == ["[2]", "[0]", "[1]", "models[2]", "models[0]", "models[1]"]
    for part in (
        "by their place in the submitted file",
        "models[0] for the first",
        "only to those",
    ):
        assert part in page
    large = drawn_blue(
        places=range(41, 0, -1), cka=[[0.5] * 41] * 41, cka_unbiased=[[0.5] * 41] * 41
    )
    assert "models[41] and models[40]" in large


def test_a_set_that_holds_tells_its_closest_pair() -> None:
    page = drawn_blue(3.0, threshold=0.5, bound=7.0)
    assert "A set of 3 models: every one of its 3 pairs reaches the threshold 0.5" in page
    assert "the closest to it are models[0] and models[2] with 0.50" in page
    assert "no such interval" in page


def test_a_set_that_fails_says_by_which_pairs() -> None:
    below = [Pair(0, 2, 0.5)]
    page = drawn_blue(0.0, threshold=0.55, below=below, below_count=1, bound=7.0)
    assert "The score is 0: of 3 pairs 1 stay below the threshold 0.55" in page
    assert "Pairs below 0.55, least alike first." in page


def test_many_models_are_folded_and_very_many_counted() -> None:
    members = [Member(number, 0.5, 0.0) for number in range(300)]
    page = drawn_blue(members=members)
    assert "180 more of 280" in page and "models[199]" in page and "models[200]" not in page
    assert ">20 more<" in drawn_blue(members=members[:40])
    assert "more<" not in drawn_blue(members=members[:20])


def test_pictures_come_with_their_class_and_may_fail() -> None:
    pictures = [Thumbnail(b"\xff\xd8\xff\xd9", "cat"), Thumbnail(b"\xff\xd8\xff\xd9", None)]
    page = drawn_red(thumbnails=pictures)
    assert page.count('alt=""') == 2 and not re.search("<img[^>]* title=", page)
    assert 'aria-label="2 small pictures by class: 1 of cat, 1 of no class"' in page
    assert "2 of 10, spread evenly" in page and "All of them" not in page
    assert "could not be read" in drawn_red(thumbnails=None)
    assert "Pictures of the stimuli" not in drawn_red(thumbnails=())
    every = drawn_red(thumbnails=[Thumbnail(b"\xff\xd8\xff\xd9", f"c{n % 25}") for n in range(50)],
                      stimuli=50)  # fmt: skip
    assert "All of them" in every and "Some of" not in every
    assert "2 of c19, and 5 more classes" in every and every.count('alt=""') == 50


def test_a_whole_bar_is_the_whole_choice() -> None:
    page = drawn_red()
    figure = page.partition("The 10 stimuli by class")[2].partition("</svg>")[0]
    widths = [float(found) for found in re.findall(r'<rect[^>]* width="([\d.]+)"', figure)]
    track, cat, _, other = widths
    assert cat / track == pytest.approx(0.6, abs=0.01)
    assert other / track == pytest.approx(0.4, abs=0.01)
    assert "6 of 10 in the catalogue" in figure


@pytest.mark.parametrize("page", [drawn_blue(), drawn_red()])
def test_an_interval_is_said_to_be_what_it_is(page: str) -> None:
    assert "in about 19 of 20 sets of" in page and "95 % of such draws" not in page
    assert "Two submissions are told apart by the interval of their difference" in page
    assert "<code>mimicry board</code> shows it" in page


def test_a_chosen_set_is_no_draw_and_a_number_of_models_no_mean() -> None:
    assert "chosen, not drawn" in drawn_red() and "chosen, not drawn" not in drawn_blue()
    assert "interval of their difference" not in drawn_blue(3.0, threshold=0.5, bound=7.0)


def test_classes_beyond_twenty_are_counted_together() -> None:
    classes = [Share(f"class{number:02d}", 2, 5) for number in range(25)] + [Share("none", 0, 5)]
    page = drawn_red(classes=classes, stimuli=50)
    assert "5 other classes hold 10 of the stimuli" in page and "class20" not in page
    assert "come from 25 of the catalogue's 26 classes" in page
    assert "other classes" not in drawn_red(classes=classes[:20])


@pytest.mark.parametrize("spread", [0.0, 0.01, 1e300])
@pytest.mark.parametrize("mean", [-1e300, 0.0, 0.3, 1.0, 1e300])
def test_whatever_the_random_draws_gave_the_page_is_drawn(mean: float, spread: float) -> None:
    page = drawn_red(chance=Chance(mean, spread, 2), classes=[Share(None, 10, 20)])
    assert "random draws" in page and "1 of the catalogue's 1 classes" in page
    assert ("of these standard deviations" in page) is (spread > 0)


def test_names_are_text_wherever_they_stand() -> None:
    page = drawn_red(
        classes=[Share(HOSTILE, 10, 20)],
        datasets=[Share(HOSTILE, 10, 20)],
        thumbnails=[Thumbnail(b"\xff\xd8\xff\xd9", HOSTILE)],
    )
    tags = Tags()
    tags.feed(page)
    assert HOSTILE[:8] in tags.text and "\u202e" not in page
    assert "script" not in tags.found and "onerror" not in tags.attributes


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.12345, 4, "+0.1235"), (-0.5, 1, "−0.5"), (-0.00001, 4, "0.0000"), (0.0, 0, "0"),
     (-1.0, 0, "−1")],
)  # fmt: skip
def test_differences_have_a_sign_unless_they_are_none(
    value: float, decimals: int, text: str
) -> None:
    assert signed(value, decimals) == text


@pytest.mark.parametrize(
    ("values", "ends"),
    [((0.61, 0.62), (0.55, 0.7)), ((0.0, 1.0), (0.0, 1.0)), ((0.5,), (0.45, 0.55)),
     ((0.99, 1.0), (0.9, 1.0)), ((0.01,), (0.0, 0.1))],
)  # fmt: skip
def test_a_scale_holds_its_values_and_stays_in_range(
    values: tuple[float, ...], ends: tuple[float, float]
) -> None:
    assert scale_around(*values) == pytest.approx(ends)
