"""What the results pages tell, and above all what they do not."""

import hashlib
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.hybrids import details as details_module
from mimicry.hybrids import program
from mimicry.hybrids.details import Sizes, assemble, find_details, score_facts
from mimicry.hybrids.grading import grade
from mimicry.hybrids.metrics import harmonic_mean, operating_threshold
from mimicry.hybrids.published import published_bins
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS
from mimicry.hybrids.uncertainty import draw_scores, interval, wilson_interval
from mimicry.reports import hybrids as page_module
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.hybrid_facts import Costs, Submitted
from mimicry.reports.hybrids import full_content
from mimicry.reports.layout import document
from mimicry.scoring import page as scoring_page

GROUPS_OF = {"A": ("major", "minor"), "mimic": ("mimic",), "hybrid": ("major", "minor", "mimic")}
VALIDATION = {"major": (219, 190), "minor": (201, 17), "mimic": (423, 125)}
TEST = {"major": (455, 365), "minor": (407, 28), "mimic": (847, 248)}
SKILL = {"major": 2.0, "minor": 1.2, "mimic": 1.6}
RECORD = {
    "seconds": 61.5,
    "load_seconds": 4.2,
    "predict_seconds": 50.0,
    "time_limit": 600,
    "peak_memory_bytes": 1_530_000_000,
    "batch_size": 16,
    "versions": {"mimicry": "0.5.1", "python": "3.11.9", "numpy": "2.4.6", "pillow": "13.0.0"},
    "replaced": ["torch 2.13.0 for torch==2.3.0"],
}
FACTS = Facts(
    title="Task",
    subtitle="competition · phase",
    full=False,
    seconds=0.7,
    provenance=(("Scored", "2026-11-21 10:42 UTC"), ("Mimicry", "0.6.0"), ("NumPy", "2.4.6")),
)
# Numbers of the run above as the page writes them; 10.2 % is its share of the time limit.
OF_THE_RUN = [
    *("61.5", "10.2", "600", "4.2", "50.0", "1.53", "16", "0.7"),
    *("0.5.1", "3.11.9", "2.4.6", "13.0.0", "0.6.0", "2026", "11", "21", "10:42"),
    *("2.13.0", "2.3.0"),
]
# In the columns' explanations, the captions and names.
OF_THE_TEXT = ["0", "1", "5", "95", "256"]
NUMBER = re.compile(r"(?<![0-9A-Za-z_])[0-9][0-9,]*(?:[.:][0-9]+)*(?:e[+-]?[0-9]+)?")


class Text(HTMLParser):
    """All text of a page, and apart what stands outside of its charts and its style sheet."""

    def __init__(self, page):
        super().__init__()
        self.all, self.outside, self.tags, self.open = [], [], [], []
        self.headings, self.attributes = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.all.append(data)
        if "figure" not in self.open:
            self.outside.append(data)
        if "h2" in self.open:
            self.headings.append(data)


def numbers_in(texts):
    """Numbers in texts, digits of a SHA-256 aside (they would be 16 characters)."""
    found = [NUMBER.findall(re.sub(r"\b[0-9a-f]{16}\b", "", text)) for text in texts]
    return {number.rstrip(",") for numbers in found for number in numbers}


def rows_of(sizes, seed=0, copies=1):
    """Rows (name, label, group, score) in random order; names tell nothing."""
    draw = np.random.default_rng(seed)
    rows = [
        (label, group, float(draw.normal(SKILL[group] * label)))
        for group, counts in sizes.items()
        for label, count in enumerate(counts)
        for _ in range(count * copies)
    ]
    order = draw.permutation(len(rows))
    return [(f"image_{i:06d}.jpg", *rows[j]) for i, j in enumerate(order)]


def scored(folder, task, rows, **record):
    stage = Stage(Path(folder))
    stage.reference((name, label, group) for name, label, group, _ in rows)
    stage.predictions(((name, repr(score)) for name, *_, score in rows), **RECORD | record)
    return program.score_submission(task, stage.source)


def page_of(task, rows, *, full=False, **record):
    """The page as the program writes it, with the facts of `FACTS`."""
    with tempfile.TemporaryDirectory() as folder:
        result = scored(folder, task, rows, **record)
    facts = FACTS._replace(full=full)
    return result.scores, document(facts.title, *result.page(facts), subtitle=facts.subtitle)


def reference_of(rows):
    names, labels, groups, _ = zip(*rows, strict=True)
    return Reference(names, tuple(bool(label) for label in labels), groups)


def columns_of(task, scores):
    return [ScoreRow(c.key, c.title, scores[c.key], c.explanation) for c in TASKS[task].columns]


# The declared page: a function of the board's columns and of what was submitted.


@st.composite
def swapped_labels(draw):
    """A task, rows with many ties, and the same rows with labels swapped among ties of a group."""
    task = draw(st.sampled_from(sorted(GROUPS_OF)))
    rows = []
    for group in GROUPS_OF[task]:
        scores = draw(st.lists(st.integers(0, 4), min_size=6, max_size=14))
        labels = draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
        labels[:2] = [0, 1]
        rows += [(label, group, float(score)) for label, score in zip(labels, scores, strict=True)]
    rows = [(f"{place}.jpg", *row) for place, row in enumerate(rows)]
    other = list(rows)
    for group, score in {(row[2], row[3]) for row in rows}:
        places = [place for place, row in enumerate(rows) if row[2:] == (group, score)]
        for place, source in zip(places, draw(st.permutations(places)), strict=True):
            other[place] = (rows[place][0], rows[source][1], group, score)
    return task, rows, other


@settings(deadline=None, max_examples=60)
@given(swapped_labels())
def test_the_declared_page_is_the_same_whichever_of_equal_images_are_hybrids(drawn):
    task, rows, other = drawn
    scores, page = page_of(task, rows)
    other_scores, other_page = page_of(task, other)
    assert scores == other_scores
    assert page.encode() == other_page.encode()


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_the_declared_page_is_the_same_for_other_group_sizes_of_equal_columns(data):
    """All found, wherever the line between hybrids and others runs: all columns are 1."""
    names = [f"{place}.jpg" for place in range(40)]
    pages = []
    for _ in range(2):
        counts = data.draw(st.permutations([2, 3, 5, 7, 11, 12]))
        pairs = list(zip(counts[::2], counts[1::2], strict=True))
        kinds = [
            (label, group)
            for group, pair in zip(GROUPS_OF["hybrid"], pairs, strict=True)
            for label, count in enumerate(pair)
            for _ in range(count)
        ]
        # The same predictions file both times, so the labels must follow its order: all
        # non-hybrids first, in any order of the groups.
        kinds.sort(key=lambda kind: kind[0])
        hybrids = sum(label for label, _ in kinds)
        rows = [
            (name, label, group, float(place))
            for place, (name, (label, group)) in enumerate(zip(names, kinds, strict=True))
        ]
        scores, page = page_of("hybrid", rows)
        assert list(scores.values()) == pytest.approx([1.0] * len(scores)) and hybrids > 0
        pages.append(page)
    assert pages[0].encode() == pages[1].encode()


@pytest.mark.parametrize("task", sorted(GROUPS_OF))
def test_every_number_of_the_declared_page_is_declared(task):
    rows = rows_of({group: VALIDATION[group] for group in GROUPS_OF[task]})
    scores, page = page_of(task, rows)
    told = numbers_in(Text(page).all)
    columns = {f"{value:.4f}" for value in scores.values()}
    assert columns <= told
    # 50 s of predicting.
    counted = {f"{len(rows):,}", f"{len(rows) / 50:.1f}"}
    assert told <= {*columns, *counted, *OF_THE_RUN, *OF_THE_TEXT}
    assert "figure" not in Text(page).tags and "svg" not in Text(page).tags
    assert "not shown in this phase" in page


# The full page: a function of the columns, sizes, intervals, published bins and unlabelled facts.


def drawn_from_aggregates(task, rows):
    """Draw the full page from what it may tell, found without the page's own code."""
    reference = reference_of(rows)
    values = np.array([row[3] for row in rows])
    labels = np.array(reference.hybrid)
    groups = np.array(reference.group)
    results = grade(TASKS[task], reference, values)
    sizes, bins = {}, {}
    for group in GROUPS_OF[task]:
        member = groups == group
        sizes[group] = Sizes(int(member.sum()), int(labels[member].sum()))
        bins[group] = published_bins(values[member], labels[member])
    draws = draw_scores(TASKS[task], reference, [values.tolist()]).one(0)
    ends = interval(draws, results[TASKS[task].keys[0]])
    details = assemble(TASKS[task], results, sizes, bins, ends, score_facts(values))
    columns = columns_of(task, results)
    data = "\n".join(["filename,score", *(f"{row[0]},{row[3]!r}" for row in rows), ""])
    submitted = Submitted(
        images=len(rows),
        costs=Costs(61.5, 4.2, 50.0, 600, 1_530_000_000, 16),
        sha256=hashlib.sha256(data.encode()).hexdigest(),
        versions=(
            ("Mimicry", "0.5.1"),
            ("Python", "3.11.9"),
            ("NumPy", "2.4.6"),
            ("Pillow", "13.0.0"),
        ),
        replaced=RECORD["replaced"],
    )
    content = full_content(columns, submitted, FACTS._replace(full=True), details)
    return document(FACTS.title, *content, subtitle=FACTS.subtitle)


@pytest.mark.parametrize("task", sorted(GROUPS_OF))
def test_the_full_page_is_drawn_from_declared_aggregates_alone(task):
    rows = rows_of({group: VALIDATION[group] for group in GROUPS_OF[task]}, seed=1)
    assert page_of(task, rows, full=True)[1] == drawn_from_aggregates(task, rows)


@pytest.mark.parametrize("task", sorted(GROUPS_OF))
def test_every_number_of_the_full_pages_text_is_a_declared_aggregate(task):
    rows = rows_of({group: VALIDATION[group] for group in GROUPS_OF[task]}, seed=2)
    scores, page = page_of(task, rows, full=True)
    sizes = {group: VALIDATION[group] for group in GROUPS_OF[task]}
    recall_of = {
        "major": "A_score_major_recall",
        "minor": "A_score_minor_recall",
        "mimic": "mimic_recall",
    }
    recalls = {group: scores[recall_of[group]] for group in sizes}
    first = scores[TASKS[task].keys[0]]
    reference = reference_of(rows)
    values = [row[3] for row in rows]
    draws = draw_scores(TASKS[task], reference, [values]).one(0)
    allowed = {f"{value:.4f}" for value in scores.values()} | {f"{first:.2f}"}
    allowed |= {f"{end:.2f}" for end in interval(draws, first)}
    for group, (_, hybrids) in sizes.items():
        found = round(recalls[group] * hybrids)
        more = [*(recalls | {group: (found + 1) / hybrids}).values()]
        allowed |= {f"{found}", f"{hybrids}", f"{1 / hybrids:.3f}"}
        allowed |= {f"{end:.2f}" for end in wilson_interval(found, hybrids)}
        if found < hybrids:
            allowed.add(f"{harmonic_mean(more):.4f}")
    ordered = sorted(values)
    allowed |= {f"{abs(ordered[(len(ordered) - 1) * k // 4]):#.3g}" for k in (1, 2, 3)}
    allowed |= {f"{len(rows):,}", f"{len(rows) / 50:.1f}", "0.0", *OF_THE_RUN, *OF_THE_TEXT}
    # "19 of 20 sets of images", an interval's meaning.
    allowed |= {"19", "20"}
    assert numbers_in(Text(page).outside) <= allowed


@pytest.mark.parametrize("seed", range(4))
def test_the_marks_follow_from_the_columns_and_the_rule(seed):
    """The group's own false alarms at its threshold, and the precision there, are no columns."""
    rows = rows_of(VALIDATION, seed=seed)
    task, reference, values = TASKS["hybrid"], reference_of(rows), [row[3] for row in rows]
    results = grade(task, reference, values)
    found = find_details(task, reference, values, results)
    for (others, hybrids), recall, ranking in zip(
        VALIDATION.values(),
        (results["A_score_major_recall"], results["A_score_minor_recall"], results["mimic_recall"]),
        found.rankings,
        strict=True,
    ):
        assert ranking.roc_mark == pytest.approx((0.05, recall))
        above = recall * hybrids
        precision = above / (above + 0.05 * others)
        assert ranking.precision_recall_mark == pytest.approx((recall, precision))


def test_where_nothing_is_found_no_precision_is_marked():
    rows = [(name, label, group, -score) for name, label, group, score in rows_of(VALIDATION)]
    rows = [(*row[:3], row[3] - 9 * row[1]) for row in rows]
    task, reference, values = TASKS["hybrid"], reference_of(rows), [row[3] for row in rows]
    found = find_details(task, reference, values, grade(task, reference, values))
    for ranking in found.rankings:
        assert ranking.roc_mark == pytest.approx((0.05, 0.0))
        assert ranking.precision_recall_mark is None


def test_the_full_page_tells_no_secret():
    # Sizes at which no share of the non-hybrids is exactly 95 %.
    sizes = {"major": (219, 190), "minor": (208, 17), "mimic": (423, 125)}
    rows = rows_of(sizes, seed=3)
    _, page = page_of("hybrid", rows, full=True)
    values = np.array([row[3] for row in rows])
    labels = np.array([bool(row[1]) for row in rows])
    groups = np.array([row[2] for row in rows])
    for name, _, _, score in rows:
        assert name not in page and repr(score) not in page and f"{score:.6f}" not in page
    for member in (groups != "mimic", groups == "mimic"):
        threshold = operating_threshold(values[member], labels[member])
        rate = float(np.mean(values[member][~labels[member]] <= threshold))
        assert rate > 0.95
        for secret in (threshold, rate, 1 - rate):
            assert f"{abs(secret):.4f}" not in page and f"{100 * secret:.2f}" not in page
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        stage.reference((name, label, group) for name, label, group, _ in rows)
        digest = hashlib.sha256((stage.ref / "val.csv").read_bytes()).hexdigest()
    assert digest[:8] not in page


def test_the_part_drawn_from_bins_stays_where_a_swap_leaves_the_bins():
    rows = rows_of(VALIDATION, seed=4)
    task = TASKS["hybrid"]
    reference, values = reference_of(rows), [row[3] for row in rows]
    results = grade(task, reference, values)
    before = find_details(task, reference, values, results).rankings
    ranked = np.argsort(values)
    draw = np.random.default_rng(5)
    kept = changed = 0
    for attempt in range(60):
        reach = (12, 60, 400)[attempt % 3]
        at = int(draw.integers(0, len(rows) - reach))
        near = [int(place) for place in ranked[at : at + reach]]
        group = reference.group[near[0]]
        hybrid = [i for i in near if reference.hybrid[i] and reference.group[i] == group]
        other = [i for i in near if not reference.hybrid[i] and reference.group[i] == group]
        if not hybrid or not other:
            continue
        labels = list(reference.hybrid)
        labels[hybrid[0]], labels[other[-1]] = False, True
        swapped = reference._replace(hybrid=tuple(labels))
        member = np.array(reference.group) == group
        scores = np.array(values)[member]
        same = published_bins(scores, np.array(labels)[member]) == published_bins(
            scores, np.array(reference.hybrid)[member]
        )
        after = find_details(task, swapped, values, results).rankings
        if same:
            kept += 1
            assert after == before
        else:
            changed += 1
            assert after != before
    assert kept > 5 and changed > 0


def test_the_intervals_ends_are_told_in_hundredths():
    """Finer ends would follow every label."""
    rows = rows_of(VALIDATION, seed=6)
    values = [row[3] for row in rows]
    reference = reference_of(rows)
    found = find_details(
        TASKS["hybrid"], reference, values, grade(TASKS["hybrid"], reference, values)
    )
    assert (found.low, found.high) == (round(found.low, 2), round(found.high, 2))


def test_the_full_page_tells_what_it_should_in_order():
    _, page = page_of("hybrid", rows_of(VALIDATION, seed=7), full=True)
    text = Text(page)
    assert text.headings == [
        "Hybrids found",
        "Why the smallest group decides",
        "Every threshold",
        "Where the hybrids lie",
        "Your scores",
        "All columns",
        "Time and memory",
        "Provenance",
    ]
    assert text.tags.count("svg") == 8
    words = " ".join(" ".join(text.all).split())
    for part in (
        "Challenge score:",
        "95 % interval 0.",
        "Non-signal hybrids are the fewest: 17.",
        "61.5 s (10.2 % of 600 s)",
        "50.0 s, 23.5 images a second",
        "1.53 GB",
        "torch 2.13.0 for torch==2.3.0",
    ):
        assert part in words
    assert "not shown in this phase" not in words


@pytest.mark.parametrize("task", sorted(GROUPS_OF))
def test_tiny_and_trivial_sets_have_a_full_page(task):
    for scores in ([0.0] * 12, [1e308, -1e308] * 6, list(map(float, range(12)))):
        rows = [
            (f"{group}{place}.jpg", place % 2, group, score)
            for group in GROUPS_OF[task]
            for place, score in enumerate(scores)
        ]
        _, page = page_of(task, rows, full=True)
        assert "Provenance" in page and "Not drawn" in page


@pytest.mark.parametrize("full", [False, True])
def test_strangers_texts_stay_text(full):
    hostile = '<script>alert("1")</script>'
    rows = rows_of({"mimic": (40, 20)})
    _, page = page_of("mimic", rows, full=full, replaced=[hostile], versions={"numpy": hostile})
    assert "script" not in Text(page).tags
    assert hostile in " ".join(Text(page).all)


def test_a_page_without_the_runs_costs_does_without():
    rows = rows_of({"mimic": (40, 20)})
    nothing = dict.fromkeys(RECORD)
    _, page = page_of("mimic", rows, **nothing)
    words = " ".join(Text(page).all)
    assert "Scoring" in words and "Ingestion" not in words and "GB" not in words


@pytest.mark.parametrize(("copies", "largest"), [(1, 150_000), (40, 400_000)])
def test_pages_stay_small(copies, largest):
    rows = rows_of(TEST, seed=8, copies=copies)
    _, page = page_of("hybrid", rows, full=True)
    assert Text(page).tags.count("svg") == 8
    assert len(page.encode()) < largest


# A page that fails.


@pytest.fixture
def full_run(stage, tmp_path):
    """Folders of a run and a program packed for a phase that shows all."""
    rows = rows_of({"mimic": (40, 20)})
    stage.reference((name, label, group) for name, label, group, _ in rows)
    stage.predictions(((name, repr(score)) for name, *_, score in rows), **RECORD)
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "phase.json").write_text(
        '{"competition": "c", "phase": "p", "task": "mimic", "results_page": "full"}'
    )

    def run():
        code = program.main("mimic", packed, [str(stage.source), str(stage.output)])
        return code, {path.name: path.read_text() for path in stage.output.iterdir()}

    return run


def broken(*_):
    raise ZeroDivisionError("no details today")


def test_details_that_fail_cost_the_full_page_alone(full_run, monkeypatch):
    code, files = full_run()
    assert (code, set(files)) == (0, {"scores.json", "score.json", "detailed_results.html"})
    assert "Hybrids found" in files["detailed_results.html"]
    monkeypatch.setattr(details_module, "draw_scores", broken)
    failed_code, failed = full_run()
    assert failed_code == 0
    assert failed["scores.json"] == failed["score.json"] == files["scores.json"]
    assert "Traceback" in failed["scoring.log"] and "no details today" in failed["scoring.log"]
    page = failed["detailed_results.html"]
    assert "not shown in this phase" in page and "no details today" not in page


def test_both_pages_failing_cost_no_scores(full_run, monkeypatch):
    monkeypatch.setattr(details_module, "draw_scores", broken)
    monkeypatch.setattr(page_module, "declared_content", broken)
    code, files = full_run()
    assert (code, set(files)) == (0, {"scores.json", "score.json", "scoring.log"})
    assert files["scoring.log"].count("Traceback") >= 2


def test_a_page_too_large_gives_way_to_the_declared_one(full_run, monkeypatch):
    monkeypatch.setattr(scoring_page, "LARGEST_PAGE", 20_000)
    code, files = full_run()
    assert code == 0
    assert "not shown in this phase" in files["detailed_results.html"]
    assert "allowed are 20,000" in files["scoring.log"]
