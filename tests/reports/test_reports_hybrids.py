"""The content of the hybrids' pages, drawn from plain values."""

import math

import pytest

from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.hybrid_charts import found_sections, ranking_sections
from mimicry.reports.hybrid_facts import (
    Costs,
    Found,
    HybridDetails,
    Ranking,
    ScoreFacts,
    Submitted,
)
from mimicry.reports.hybrids import declared_content, full_content
from mimicry.reports.markup import group, written

ROWS = [
    ScoreRow("score", "Score <1>", 0.123456, "Higher & better."),
    ScoreRow("other", "Other", 1.0, "Another."),
]
COSTS = Costs(61.27, 4.0, 50.0, 600.0, 1_530_000_000, 32)
SUBMITTED = Submitted(1175, COSTS, "0123456789abcdef" + "f" * 48)
FACTS = Facts("Mimics", None, True, 1.04, (("Mimicry", "0.6.0"),))
CURVE = ((0.0, 0.0), (0.2, 0.8), (1.0, 1.0))
DETAILS = HybridDetails(
    low=0.05,
    high=0.31,
    found=[
        Found("Signal hybrids", "signal", 9, 90, 200, 0.1, 0.05, 0.18, 0.1357),
        Found("Non-signal hybrids", "non-signal", 5, 5, 60, 1.0, 0.57, 1.0, None),
    ],
    rankings=[
        Ranking(
            "Signal hybrids", "signal", 0.77, CURVE, CURVE, (0.05, 0.1), None, (0, 1), (0.5, 0.5)
        ),
        Ranking("Non-signal hybrids", "non-signal", 0.42),
    ],
    scores=ScoreFacts(1175, 1000, 0, (-0.25, 1e-9, 123456.0)),
)


def text_of(content):
    return " ".join(" ".join(group(content).itertext()).split())


def full(details=DETAILS, submitted=SUBMITTED):
    return text_of(full_content(ROWS, submitted, FACTS, details))


def declared(submitted=SUBMITTED, facts=FACTS):
    return text_of(declared_content(ROWS, submitted, facts))


def test_both_pages_show_every_column_with_four_decimals():
    for text in (full(), declared()):
        for part in ("Score <1>", "0.1235", "1.0000", "Higher & better.", "1,175 images"):
            assert part in text


def test_both_pages_tell_time_memory_and_provenance():
    for text in (full(), declared()):
        for part in (
            "61.3 s (10.2 % of 600 s)",
            "Loading the model 4.0 s",
            "Predicting 50.0 s, 23.5 images a second",
            "Images a call 32",
            "1.53 GB",
            "Scoring 1.0 s",
            "Mimicry 0.6.0",
            "0123456789abcdef…",
        ):
            assert part in text
        assert "ffff" not in text


def test_what_is_not_known_is_left_out():
    text = declared(SUBMITTED._replace(costs=Costs()))
    for part in ("Ingestion", "Loading", "Predicting", "call", "GB", "None", " nan"):
        assert part not in text
    assert "Scoring 1.0 s" in text


def test_a_limit_or_speed_that_cannot_be_told_is_left_out():
    text = declared(SUBMITTED._replace(costs=Costs(seconds=3.0, predict_seconds=0.0)))
    assert "3.0 s " in text and "%" not in text.split("Time and memory")[1]
    assert "images a second" not in text


def test_one_image_is_one_image():
    assert "1 image." in declared(SUBMITTED._replace(images=1))


def test_the_declared_page_says_what_is_missing_and_who_can_have_it():
    text = declared()
    assert "not shown in this phase" in text and "organisers can publish the board" in text
    assert "interval 0" not in text


def test_the_headline_is_the_score_with_its_interval_in_words():
    assert "Score <1>: 0.12 , 95 % interval 0.05 to 0.31" in full()


def test_the_table_tells_what_one_more_would_change():
    words = text_of(found_sections(ROWS[0], DETAILS))
    assert "9 of 90 0.1357 0.1000 0.05 to 0.18" in words
    assert "5 of 5 – 1.0000 0.57 to 1.00" in words
    assert "Non-signal hybrids are the fewest: 5." in words and "by 0.200" in words


def test_one_group_needs_no_comparison_of_groups():
    alone = DETAILS._replace(found=DETAILS.found[:1])
    assert "decides" not in text_of(found_sections(ROWS[0], alone))


def figures_of(content):
    return [
        " ".join(" ".join(figure.itertext()).split()) for figure in group(content).iter("figure")
    ]


def test_every_number_of_a_figure_has_one_interval():
    alone = DETAILS._replace(low=0.04, found=DETAILS.found[:1])
    (figure,) = figures_of(found_sections(ROWS[0], alone))
    assert "(0.04 to 0.31)" in figure and "0.18" not in figure
    assert "0.05 to 0.18" in text_of(found_sections(ROWS[0], alone))
    score, groups, _ = figures_of(found_sections(ROWS[0], DETAILS))
    assert "0.1235 (0.05 to 0.31)" in score and "Signal" not in score
    assert "0.1000 (0.05 to 0.18)" in groups and "Score <1>" not in groups


def test_the_band_is_that_of_a_share_of_so_many():
    # 14 of 95 in all: 0.147, plus and minus 1.96 standard errors and half a hybrid.
    funnel = figures_of(found_sections(ROWS[0], DETAILS))[2]
    assert "Signal hybrids 90 0.100 0.069 0.226" in funnel
    assert "Non-signal hybrids 5 1.000 0.000 0.558" in funnel


def test_lower_shares_are_expected_of_kinds_never_seen():
    assert "Non-signal hybrids are of kinds never seen" in full()
    others = [found._replace(role="mimic") for found in DETAILS.found]
    assert "never seen" not in full(DETAILS._replace(found=others))


def test_marks_stand_among_the_numbers_of_the_curves():
    roc, precision, _ = figures_of(ranking_sections(DETAILS.rankings))
    assert "Signal hybrids: mark 0.050 0.100" in roc and "5 % of the non-hybrids" in roc
    assert "mark" not in precision and "5 %" not in precision


def test_only_groups_of_a_shared_threshold_have_other_false_alarms():
    assert "of one group's a little more or less" in text_of(ranking_sections(DETAILS.rankings))
    alone = text_of(ranking_sections(DETAILS.rankings[:1]))
    assert "at most 5 % of the non-hybrids above it." in alone and "a little more" not in alone


def test_the_page_says_what_tells_two_submissions_apart():
    assert "told apart by the interval of their difference" in full()


def test_a_group_that_may_not_be_drawn_is_named():
    words = text_of(ranking_sections(DETAILS.rankings))
    assert "Not drawn: Non-signal hybrids." in words
    assert "Signal hybrids, 0.77" in words and "0.42" not in words
    nothing = text_of(ranking_sections(DETAILS.rankings[1:]))
    assert "Not drawn: Non-signal hybrids." in nothing and "recall" not in nothing


@pytest.mark.parametrize(("tied", "warned"), [(0, False), (58, False), (59, True), (1175, True)])
def test_many_ties_are_warned_of(tied, warned):
    text = full(DETAILS._replace(scores=ScoreFacts(1175, 5, tied, (0.0, 0.0, 1.0))))
    assert ("Ties count against you" in text) is warned


def test_quartiles_have_three_digits():
    assert "-0.250, 1.00e-09, 1.23e+05" in full()
    quartiles = DETAILS.scores._replace(quartiles=(2.361, 3.2, 123.4))
    assert "2.36, 3.20, 123 " in full(DETAILS._replace(scores=quartiles))


def test_strangers_texts_are_escaped():
    hostile = SUBMITTED._replace(replaced=["<script>alert(1)</script>"])
    for content in (
        declared_content(ROWS, hostile, FACTS),
        full_content(ROWS, hostile, FACTS, DETAILS),
    ):
        page = written(group(content))
        assert "<script" not in page and "&lt;script&gt;" in page


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="finite"):
        full_content(ROWS, SUBMITTED, FACTS, DETAILS._replace(low=math.nan))
