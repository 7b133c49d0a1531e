"""The pages for participants say what the competition files say.

The checks of `page_faults` are themselves checked: every number on the pages that
they are about, and every value of the files, is changed once and must be noticed.
"""

import copy
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from codabench_minibundle import REPOSITORY

from mimicry.codabench.competition import Competition, load_competition
from mimicry.hybrids.metrics import TARGET_TRUE_NEGATIVE_RATE
from mimicry.ingestion.runner import DEFAULT_BATCH_SIZE
from mimicry.ingestion.settings import DEADLINE_SHARE

IDS = ("two-task", "hybrid")
# Those of the Re-Align boards are compared with their files in tests/realign.
PAGES = sorted(
    path.name
    for path in (REPOSITORY / "pages").glob("*.md")
    if not path.stem.endswith(("-blue", "-red", "-realign"))
)
RULES = r"\b(?:Add|Add_And_Delete(?:_Multiple)?|Force_\w+)\b"
IMAGE = r"[\w-]+(?:\.[\w-]+)+/[\w./-]+:[\w.-]*\w"
DATE = r"\d{4}-\d{2}-\d{2}(?: \d{2}:\d{2})?"
SECONDS = r"(?<![\d.,])(\d+) (?:s|seconds)\b"
QUOTA = r"(\d+) submissions\b"


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def minutes(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "open"


def table_after(page: str, heading: str) -> list[str]:
    """Return the rows of the table whose first line begins with `heading`."""
    lines = page.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


def page_faults(competition: Competition, pages: dict[str, str], allowed: str) -> list[str]:
    """Return what the pages of a competition say differently from its file."""
    faults: list[str] = []
    phases, board = competition.phases, competition.leaderboard
    named = [page["file"].removeprefix("pages/") for page in competition.document["pages"]]
    shown = {name: pages[name] for name in [*named, "terms.md"]}
    text = "\n".join(shown.values())

    def expect(what: str, found: object, wanted: object) -> None:
        if found != wanted:
            faults.append(f"{what}: {found!r} on the pages, {wanted!r} in the file")

    expect(
        "phases",
        table_after(shown["overview.md"], "| Phase | Begins | Ends |"),
        [
            row(
                phase.name,
                minutes(phase.start),
                minutes(phase.end),
                phase.max_submissions_per_day,
                phase.max_submissions,
                f"{phase.execution_time_limit} s",
            )
            for phase in phases
        ],
    )
    leaderboard = next(page for name, page in shown.items() if name.startswith("leaderboard"))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table_after(leaderboard, "| Column | Title | Better |")
    ]
    direction = {"desc": "higher", "asc": "lower"}
    expect(
        "columns",
        [cells[:4] for cells in rows],
        [
            [f"`{c.key}`", c.title, direction[c.sorting], str(c.precision)]
            for c in board.columns
            if not c.hidden
        ],
    )
    ranks = [cells[0] for cells in rows if "this ranks" in cells[4].lower()]
    expect("ranking column", ranks, [f"`{board.primary.key}`"])
    expect("rule", set(re.findall(RULES, leaderboard)), {board.submission_rule})

    dates = {d for p in phases for d in (minutes(p.start), minutes(p.end))}
    dates |= {date[:10] for date in dates}
    for date in re.findall(DATE, text):
        expect(f"date {date}", date in dates, True)
    expect("image", set(re.findall(IMAGE, text)), {competition.docker_image})
    deadlines = {p.name: round(p.execution_time_limit * DEADLINE_SHARE) for p in phases}
    limits = {p.name: p.execution_time_limit for p in phases}
    for value in re.findall(SECONDS, text):
        expect(f"{value} s", int(value) in {*limits.values(), *deadlines.values()}, True)
    stops = re.findall(r"after (\d+) s in (\w+)", shown["evaluation.md"])
    expect("own deadline", {name: int(value) for value, name in stops}, deadlines)
    said = re.findall(r"(\d+) s (?:for a task )?in (\w+)", shown["starting_kit.md"])
    expect("limit", {name: int(value) for value, name in said}, limits)
    for value in re.findall(QUOTA, text):
        quotas = {q for p in phases for q in (p.max_submissions_per_day, p.max_submissions)}
        expect(f"{value} submissions", int(value) in quotas, True)

    for percent, what in re.findall(r"(\d+) % of (them|the (?:non-hybrids|time limit))", text):
        wanted = TARGET_TRUE_NEGATIVE_RATE if what != "the time limit" else DEADLINE_SHARE
        expect(f"share of {what}", int(percent), round(100 * wanted))
    batch = re.findall(r"an attribute that is (\d+)", shown["starting_kit.md"])
    expect("batch size", batch, [str(DEFAULT_BATCH_SIZE)])
    listed = re.search(r"may ask for these.*?```\n(.*?)```", shown["starting_kit.md"], re.DOTALL)
    lines = [line for line in allowed.splitlines() if line and not line.startswith("#")]
    expect("packages", listed and listed[1].splitlines(), lines)

    last = phases[-1]
    for phrase, holds in (
        ("is run again on the test images by itself", last.auto_migrate),
        ("Nothing is carried over", not last.auto_migrate),
        ("approve each account", not competition.document["registration_auto_approve"]),
        (
            "the logs and result files stay with the organisers",
            last.hide_output and last.hide_score_output and last.hide_prediction_output,
        ),
        ("That goes to a log that only the organisers see", all_hide_predictions(competition)),
        ("*detailed results*", competition.document["enable_detailed_results"]),
    ):
        expect(f"“{phrase}”", phrase in text, holds)
    return faults


def all_hide_predictions(competition: Competition) -> bool:
    return all(phase.hide_prediction_output for phase in competition.phases)


def read_pages() -> dict[str, str]:
    return {name: (REPOSITORY / "pages" / name).read_text(encoding="utf-8") for name in PAGES}


def read_allowed() -> str:
    return (REPOSITORY / "ingestion_program" / "allowed_packages.txt").read_text()


@pytest.mark.parametrize("id", IDS)
def test_pages_say_what_the_file_says(id: str) -> None:
    faults = page_faults(load_competition(REPOSITORY, id), read_pages(), read_allowed())
    assert not faults, "\n".join(faults)


def leaves(data: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(data, dict):
        return [p for k, v in data.items() for p in leaves(v, (*prefix, k))]
    if isinstance(data, list):
        return [p for k, v in enumerate(data) for p in leaves(v, (*prefix, k))]
    return [prefix]


CHECKED = (
    r"docker_image|registration_auto_approve|enable_detailed_results"
    r"|phases\.\d\.(name|start|end|execution_time_limit|max_\w+|auto_migrate\w*|hide_prediction_output)"
    r"|phases\.1\.hide_\w+"
    r"|leaderboards\.0\.(submission_rule|columns\.\d\.(title|key|sorting|precision))"
)


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    others = {"desc": "asc", "Force_Best": "Add", "Add_And_Delete": "Add"}
    if value in others:
        return others[value]
    if re.fullmatch(r"20\d\d-.*", value):
        # A minute later keeps the order of the phases.
        return value[:-4] + str((int(value[-4]) + 1) % 10) + value[-3:]
    return value + "x"


def checked_values() -> list[tuple[str, tuple[str | int, ...]]]:
    found = []
    for id in IDS:
        document = load_competition(REPOSITORY, id).document
        for keys in leaves(document):
            if re.fullmatch(CHECKED, ".".join(map(str, keys))):
                found.append((id, keys))
    return found


@pytest.mark.parametrize(("id", "keys"), checked_values(), ids=str)
def test_each_changed_value_is_noticed(
    tmp_path: Path, id: str, keys: tuple[str | int, ...]
) -> None:
    document = copy.deepcopy(dict(load_competition(REPOSITORY, id).document))
    place: Any = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = changed(place[keys[-1]])
    (tmp_path / "competition.yaml").write_text(yaml.safe_dump(document))
    assert page_faults(load_competition(tmp_path, "two-task"), read_pages(), read_allowed())


def test_many_values_are_checked() -> None:
    # Two forms: 8 columns of 4 values, 2 phases of 6, and what stands once.
    assert len(checked_values()) > 90


def test_a_changed_package_list_is_noticed() -> None:
    competition = load_competition(REPOSITORY, "hybrid")
    assert page_faults(competition, read_pages(), read_allowed() + "newpackage>=1\n")


def numbers_on_pages() -> list[tuple[str, int, int]]:
    """Return the place of every run of digits in a text that the checks are about."""
    about = "|".join(
        (
            DATE,
            SECONDS,
            QUOTA,
            IMAGE,
            r"^\| Development .*",
            r"^\| Final .*",
            r"\d+ % of (?:them|the)\b",
        )
    )
    spans = []
    for name, page in read_pages().items():
        for match in re.finditer(about, page, re.MULTILINE):
            for digits in re.finditer(r"\d+", match[0]):
                spans.append((name, match.start() + digits.start(), match.start() + digits.end()))
        if name.startswith("leaderboard"):
            for line in re.finditer(r"^\| `\w+` \|.*\| (\d) \|", page, re.MULTILINE):
                spans.append((name, *line.span(1)))
    return spans


@pytest.mark.parametrize(("name", "start", "end"), numbers_on_pages(), ids=str)
def test_each_changed_number_on_a_page_is_noticed(name: str, start: int, end: int) -> None:
    pages = read_pages()
    page = pages[name]
    pages[name] = page[:start] + str(int(page[start:end]) + 1).zfill(end - start) + page[end:]
    competitions = [load_competition(REPOSITORY, id) for id in IDS]
    assert any(page_faults(competition, pages, read_allowed()) for competition in competitions)


@pytest.mark.parametrize("name", PAGES)
def test_pages_work_where_they_are_shown(name: str) -> None:
    page = read_pages()[name]
    assert page.strip()
    # Files of the bundle are not served, so neither images nor links may point to them.
    for target in re.findall(r"\]\(([^)]*)\)|<img[^>]*src=\"([^\"]*)", page):
        assert "".join(target).startswith(("https://", "data:", "#", "mailto:"))
    # A pair of dollar signs on one line is read as LaTeX.
    assert all(line.count("$") < 2 for line in page.splitlines())


def test_every_page_is_used() -> None:
    used = {"terms.md"}
    for id in IDS:
        for page in load_competition(REPOSITORY, id).document["pages"]:
            used.add(Path(page["file"]).name)
    assert used == set(PAGES)


def code_blocks(text: str) -> str:
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


@pytest.mark.parametrize(
    "path",
    [
        "pages/starting_kit.md",
        "pages/data.md",
        "pages/errors.md",
        "docs/organiser.md",
        "docs/participant.md",
        "starting_kit/hybrids/README.md",
    ],
)
def test_commands_in_the_texts_exist(path: str) -> None:
    from mimicry.cli import cli

    code = code_blocks((REPOSITORY / path).read_text(encoding="utf-8"))
    lines = re.findall(r"\bmimicry ([a-z][a-z-]+)((?: [^\n`]*)?)", code)
    assert lines
    for name, rest in lines:
        command: click.Command = cli.commands[name]
        if isinstance(command, click.Group):
            command = command.commands[rest.split()[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", code)) <= targets


def test_the_smallest_submission_of_the_starting_kit_works() -> None:
    from PIL import Image

    code = re.findall(r"```python\n(.*?)```", read_pages()["starting_kit.md"], re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(compile(code, "model.py", "exec"), names)
    model = names["Model"]()
    model.load()
    assert model.predict(Image.new("RGB", (4, 4), (200, 10, 50))) == 150.0


def test_the_example_of_the_evaluation_page_is_right() -> None:
    import numpy as np

    from mimicry.hybrids.metrics import harmonic_mean, operating_threshold, recall_above

    scores = np.array([*(n / 100 for n in range(1, 21)), 0.195, 0.60, 0.19])
    hybrid = np.arange(23) >= 20
    page = read_pages()["evaluation.md"]
    threshold = operating_threshold(scores, hybrid)
    assert f"`t` is {threshold:g}" in page
    assert f"the recall is {recall_above(scores, hybrid, threshold):.4f}" in page
    assert f"= {harmonic_mean([0.8, 0.4, 0.5]):.4f}" in page
