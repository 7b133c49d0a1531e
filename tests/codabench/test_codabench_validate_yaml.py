"""Every rule about the competition file itself: planted once, found with line and edit."""

import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from codabench_goodbundle import Bundle

from mimicry.codabench.validation.finding import Finding
from mimicry.codabench.validation.report import Report, validate_bundle

Change = Callable[[Bundle], None]
UUID = "0b6f3b6e-1234-4000-8000-000000000000"


def put(*keys: Any) -> Change:
    """Set the value (last) at the keys (first)."""

    def change(bundle: Bundle) -> None:
        place = bundle.document
        for key in keys[:-2]:
            place = place[key]
        place[keys[-2]] = keys[-1]

    return change


def drop(*keys: Any) -> Change:
    def change(bundle: Bundle) -> None:
        place = bundle.document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


def text(content: str | bytes) -> Change:
    def change(bundle: Bundle) -> None:
        bundle.text = content

    return change


def edit(old: str, new: str) -> Change:
    """Replace a part of the file's text."""

    def change(bundle: Bundle) -> None:
        content = bundle.yaml().decode()
        assert old in content
        bundle.text = content.replace(old, new, 1)

    return change


def several(*changes: Change) -> Change:
    def change(bundle: Bundle) -> None:
        for one in changes:
            one(bundle)

    return change


def two_tasks(rule: str | None = None, sorting: str = "desc") -> Change:
    """Put both tasks into the first phase, and give both phases two."""

    def change(bundle: Bundle) -> None:
        data = bundle.document
        data["tasks"] += [{**task, "index": task["index"] + 2} for task in data["tasks"]]
        data["phases"][0]["tasks"], data["phases"][1]["tasks"] = [0, 2], [1, 3]
        del data["phases"][1]["auto_migrate_to_this_phase"]
        if rule is not None:
            data["leaderboards"][0]["submission_rule"] = rule
        data["leaderboards"][0]["columns"][0]["sorting"] = sorting

    return change


T0, T1 = ("tasks", 0), ("tasks", 1)
P0, P1 = ("phases", 0), ("phases", 1)
B = ("leaderboards", 0)
C0, C1, C2 = ((*B, "columns", n) for n in range(3))
F = ("fact_sheet", "method")
START, END = "2026-01-01 00:00:00", "2026-02-01 12:30:00"

# What is planted, the change, code, key, a part of what the platform says or does.
PLANTED: list[tuple[str, Change, str, str, str]] = [
    # The file
    ("empty", text(""), "yaml-no-mapping", "", "'NoneType' object has no attribute 'get'"),
    ("only a comment", text("# x\n"), "yaml-no-mapping", "", "Unpacking the bundle failed"),
    ("a list", text("- a\n"), "yaml-no-mapping", "", "Unpacking the bundle failed"),
    ("a tab", text("title: x\n\tversion: 2\n"), "yaml-syntax", "", "same message and line"),
    ("an open quote", text('title: "x\nversion: 2\n'), "yaml-syntax", "", "Unpacking the bundle"),
    ("not UTF-8", text(b"title: \xff\n"), "yaml-encoding", "", "decoder's message"),
    ("impossible date", text("title: 2026-13-45\n"), "yaml-value", "", "same message"),
    ("huge", text("# " + "x" * 1_100_000), "yaml-size", "", "Reads it"),
    ("a key twice", edit("version: 2", "version: 2\ntitle: A"), "yaml-duplicate-key", "", "last"),
    # Version
    ("no version", drop("version"), "missing-key", "version", "HTML pages could not be found"),
    ("version 2.0", put("version", 2.0), "version", "version", "A suitable version could not"),
    ("version 3", put("version", 3), "version", "version", "A suitable version could not"),
    ("version 1.5", put("version", 1.5), "version", "version", "older version"),
    # Unknown keys
    ("typo", put("docker_imgae", "x"), "unknown-key", "docker_imgae", "in silence"),
    ("published", put("published", True), "unknown-key", "published", "in silence"),
    ("end_date", put("end_date", "2027-01-01"), "unknown-key", "end_date", "in silence"),
    ("admin_names", put("admin_names", ["a"]), "unknown-key", "admin_names", "in silence"),
    ("collaborators", put("collaborators", ["a"]), "unknown-key", "collaborators", "in silence"),
    (
        "results only",
        put("accepts_only_result_submissions", True),
        "unknown-key",
        "accepts_only_result_submissions",
        "in silence",
    ),
    ("task public", put(*T0, "is_public", True), "unknown-key", "tasks[0].is_public", "in silence"),
    ("board index", put(*B, "index", 0), "unknown-key", "leaderboards[0].index", "in silence"),
    (
        "phase solutions",
        put(*P0, "solutions", [0]),
        "unknown-key",
        "phases[0].solutions",
        "silence",
    ),
    (
        "column typo",
        put(*C0, "sortng", "asc"),
        "unknown-key",
        "leaderboards[0].columns[0].sortng",
        "in silence",
    ),
    ("page typo", put("pages", 0, "path", "x"), "unknown-key", "pages[0].path", "in silence"),
    ("misplaced", put("max_submissions", 5), "unknown-key", "max_submissions", "in silence"),
    # Texts and switches
    ("no title", drop("title"), "missing-key", "title", "title: This field may not be null."),
    ("null title", put("title", None), "empty-value", "title", "This field may not be null."),
    ("long title", put("title", "x" * 257), "too-long", "title", "no more than 256 characters"),
    ("title list", put("title", ["x"]), "not-text", "title", "Refuses the bundle"),
    ("null description", put("description", None), "empty-value", "description", "not tried"),
    ("no image", drop("image"), "missing-key", "image", "An image for this competition could not"),
    ("null image", put("image", None), "empty-value", "image", "An image for this competition"),
    ("no terms", drop("terms"), "missing-key", "terms", "has not been supplied in the required"),
    ("no pages", drop("pages"), "missing-key", "pages", "'NoneType' object is not iterable"),
    ("empty pages", put("pages", []), "no-pages", "pages", "empty list"),
    ("pages mapping", put("pages", {"a": 1}), "not-a-list", "pages", "exception"),
    ("page text", put("pages", 0, "x"), "not-a-mapping", "pages[0]", "exception"),
    ("no page title", drop("pages", 0, "title"), "missing-key", "pages[0].title", "pages: title:"),
    ("no page file", drop("pages", 0, "file"), "missing-key", "pages[0].file", "error log: 'file'"),
    (
        "boolean text",
        put("registration_auto_approve", "ja"),
        "not-boolean",
        "registration_auto_approve",
        "Must be a valid boolean.",
    ),
    (
        "boolean number",
        put("enable_detailed_results", 1),
        "not-boolean",
        "enable_detailed_results",
        "Must be a valid boolean.",
    ),
    (
        "type",
        put("competition_type", "challenge"),
        "no-valid-choice",
        "competition_type",
        '"challenge" is not a valid choice.',
    ),
    ("email", put("contact_email", "me"), "no-email", "contact_email", "Enter a valid email"),
    ("reward", put("reward", "x" * 300), "too-long", "reward", "no more than 256"),
    ("queue", put("queue", "mine"), "no-queue", "queue", "is not a valid UUID."),
    # Image of the container
    ("no docker image", drop("docker_image"), "missing-key", "docker_image", "codalab-legacy:py37"),
    ("null image", put("docker_image", None), "empty-value", "docker_image", "codalab-legacy"),
    ("latest", put("docker_image", "core:latest"), "image-not-pinned", "docker_image", "changes"),
    (
        "no tag",
        put("docker_image", "h.example:80/core"),
        "image-not-pinned",
        "docker_image",
        "Pulls",
    ),
    ("url", put("docker_image", "https://h/core:1"), "image-name", "docker_image", "Pull for "),
    ("capitals", put("docker_image", "h.io/Core:1"), "image-name", "docker_image", "failed!"),
    ("long image", put("docker_image", "x" * 129), "too-long", "docker_image", "than 128"),
    # Paths
    ("absolute", put("terms", "/etc/terms.md"), "path-outside", "terms", "own server"),
    ("dots", put(*T0, "input_data", "../v.zip"), "path-outside", "tasks[0].input_data", "server"),
    (
        "backslash",
        put("terms", "pages\\terms.md"),
        "path-backslash",
        "terms",
        "Unable to find page",
    ),
    (
        "backslash data",
        put(*T0, "reference_data", "reference_data\\val.zip"),
        "path-backslash",
        "tasks[0].reference_data",
        'Cannot find dataset: "reference_data\\val.zip"',
    ),
    (
        "private",
        put(*T0, "input_data", "input_data/private_val.zip"),
        "name-private",
        "tasks[0].input_data",
        "Problem fetching",
    ),
    (
        "private kit",
        put(*P0, "starting_kit", "downloads/private_kit"),
        "name-private",
        "phases[0].starting_kit",
        "cannot be fetched again",
    ),
    # Fact sheet
    ("sheet list", put("fact_sheet", ["a"]), "fact-sheet", "fact_sheet", "Not valid JSON"),
    ("sheet five", drop(*F, "selection"), "fact-keys", "fact_sheet.method", "Missing {selection}"),
    ("sheet seven", put(*F, "more", 1), "fact-keys", "fact_sheet.method", "Refuses"),
    ("sheet key", put(*F, "key", "m"), "fact-key", "fact_sheet.method.key", "does not match JSON"),
    ("sheet type", put(*F, "type", "int"), "fact-type", "fact_sheet.method.type", "int is not a v"),
    (
        "sheet boolean",
        put(*F, "is_required", True),
        "fact-flag",
        "fact_sheet.method.is_required",
        "compares it with texts",
    ),
    (
        "sheet checkbox",
        put("fact_sheet", "public", "selection", ""),
        "fact-selection",
        "fact_sheet.public.selection",
        "HTTP 500",
    ),
    (
        "sheet select",
        several(put(*F, "type", "select"), put(*F, "selection", "a,b")),
        "fact-selection",
        "fact_sheet.method.selection",
        "cannot be answered",
    ),
    # Solutions
    (
        "solution task",
        put("solutions", 0, "tasks", [9]),
        "solution-task",
        "solutions[0].tasks",
        "Could not find tasks for solution",
    ),
    (
        "solution path",
        drop("solutions", 0, "path"),
        "missing-key",
        "solutions[0].path",
        "Cannot find dataset",
    ),
    # Tasks
    ("no tasks", drop("tasks"), "missing-key", "tasks", "No tasks listed in this competition"),
    ("empty tasks", put("tasks", []), "empty-list", "tasks", "No tasks listed in this competition"),
    (
        "no index",
        drop(*T0, "index"),
        "missing-key",
        "tasks[0].index",
        "ERROR: No index for task: T",
    ),
    (
        "same index",
        put(*T1, "index", 0),
        "task-index-twice",
        "tasks[1].index",
        "ERROR: Duplicate task indexes. Index: 0",
    ),
    ("index list", put(*T0, "index", [0]), "task-index", "tasks[0].index", "exception"),
    ("no task name", drop(*T0, "name"), "missing-key", "tasks[0].name", "may not be null"),
    (
        "no scoring",
        drop(*T0, "scoring_program"),
        "missing-key",
        "tasks[0].scoring_program",
        'ERROR: Task "Task of val" does not have a scoring program',
    ),
    (
        "null data",
        put(*T0, "input_data", None),
        "empty-value",
        "tasks[0].input_data",
        "join() argument must be str, bytes, or os.PathLike object, not 'NoneType'",
    ),
    (
        "null ingestion",
        put(*T0, "ingestion_program", None),
        "empty-value",
        "tasks[0].ingestion_program",
        "join() argument",
    ),
    (
        "parallel ingestion",
        put(*T0, "ingestion_only_during_scoring", True),
        "ingestion-during-scoring",
        "tasks[0].ingestion_only_during_scoring",
        "to its end and only then starts ingestion",
    ),
    (
        "bare csv",
        put(*T0, "reference_data", "downloads/public.csv"),
        "data-bare-file",
        "tasks[0].reference_data",
        "Bad or empty zip file",
    ),
    (
        "dataset key",
        put(*T0, "input_data", UUID),
        "dataset-by-key",
        "tasks[0].input_data",
        "Cannot find <type> with key",
    ),
    ("task key", put(*T1, "key", "mine"), "task-key", "tasks[1].key", "finds no task"),
    ("task key and more", put(*T1, "key", UUID), "task-key-and-more", "tasks[1].key", "as it is"),
    # Dates
    ("no start", drop(*P0, "start"), "missing-key", "phases[0].start", "'<' not supported between"),
    ("null start", put(*P0, "start", None), "empty-value", "phases[0].start", "'<' not supported"),
    (
        "unquoted",
        put(*P0, "start", datetime(2026, 1, 1, 5)),
        "date-unquoted",
        "phases[0].start",
        "as midnight, 2026-01-01 00:00:00 UTC",
    ),
    (
        "offset",
        put(*P0, "start", "2026-01-01 00:00:00+05:00"),
        "date-offset",
        "phases[0].start",
        "drops the offset",
    ),
    (
        "american",
        put(*P0, "start", "1-04-2026"),
        "date-format",
        "phases[0].start",
        "month-day-year, 2026-01-04",
    ),
    (
        "european",
        put(*P0, "start", "13/01/2026"),
        "date-format",
        "phases[0].start",
        "day-month-year, 2026-01-13",
    ),
    (
        "words",
        put(*P0, "end", "next week"),
        "date-format",
        "phases[0].end",
        "Unknown string format",
    ),
    ("number", put(*P0, "start", 20260101), "date-type", "phases[0].start", "Parser must be a str"),
    ("june 31", put(*P0, "end", "2026-06-31"), "date-unknown", "phases[0].end", "parser's message"),
    (
        "ends early",
        put(*P0, "end", date(2025, 1, 1)),
        "phase-ends-early",
        "phases[0].end",
        "silence",
    ),
    ("no time", put(*P1, "end", "2026-02-02"), "phase-ends-early", "phases[1].end", "silence"),
    (
        "overlap",
        put(*P1, "start", "2026-01-20"),
        "phase-overlap",
        "phases[1].start",
        "Phases must be sequential. Phase: Finalstarts before Phase: Development has ended",
    ),
    (
        "touching",
        put(*P1, "start", END),
        "phase-overlap",
        "phases[1].start",
        "Phases dates conflict. Phase: Final should start after Phase: Development has ended",
    ),
    (
        "endless first",
        drop(*P0, "end"),
        "phase-after-endless",
        "phases[1].start",
        "Phase: Development must have an end time because it has a phase after it.",
    ),
    # Phases
    ("no phases", drop("phases"), "missing-key", "phases", "Unpacking the bundle failed"),
    ("empty phases", put("phases", []), "empty-list", "phases", "list index out of range"),
    ("no phase tasks", drop(*P0, "tasks"), "missing-key", "phases[0].tasks", "error log: 'tasks'"),
    ("phase without", put(*P0, "tasks", []), "phase-without-task", "phases[0].tasks", "empty list"),
    ("unknown task", put(*P0, "tasks", [7]), "phase-task-unknown", "phases[0].tasks", 'log: 7"'),
    ("task as text", put(*P0, "tasks", ["0"]), "phase-task-unknown", "phases[0].tasks", "'0'"),
    ("task as true", put(*P1, "tasks", [True]), "phase-task-unknown", "phases[1].tasks", "true"),
    ("no phase index", drop(*P0, "index"), "phase-index-missing", "phases[0].index", "Takes 0"),
    ("same phase index", put(*P1, "index", 0), "phase-index-twice", "phases[1].index", "order"),
    ("phase index text", put(*P1, "index", "b"), "not-a-number", "phases[1].index", "exception"),
    (
        "no limit",
        drop(*P0, "execution_time_limit"),
        "missing-key",
        "phases[0].execution_time_limit",
        "600 s in silence",
    ),
    (
        "null limit",
        put(*P0, "execution_time_limit", None),
        "empty-value",
        "phases[0].execution_time_limit",
        "600 s in silence",
    ),
    (
        "zero limit",
        put(*P0, "execution_time_limit", 0),
        "not-a-number",
        "phases[0].execution_time_limit",
        "600 s in silence",
    ),
    (
        "negative limit",
        put(*P0, "execution_time_limit", -5),
        "not-a-number",
        "phases[0].execution_time_limit",
        "Refuses the bundle",
    ),
    (
        "float limit",
        put(*P0, "execution_time_limit", 10.5),
        "not-a-number",
        "phases[0].execution_time_limit",
        "Refuses the bundle",
    ),
    (
        "long limit",
        put(*P0, "execution_time_limit", 601),
        "limit-above-cap",
        "phases[0].execution_time_limit",
        "Cuts it to 600 s",
    ),
    (
        "no quota",
        drop(*P0, "max_submissions"),
        "quota-missing",
        "phases[0].max_submissions",
        "100 submissions a person",
    ),
    (
        "no daily quota",
        drop(*P0, "max_submissions_per_day"),
        "quota-missing",
        "phases[0].max_submissions_per_day",
        "5 submissions a day",
    ),
    (
        "null quota",
        put(*P0, "max_submissions", None),
        "quota-unlimited",
        "phases[0].max_submissions",
        "any number",
    ),
    (
        "zero quota",
        put(*P0, "max_submissions_per_day", 0),
        "quota-unlimited",
        "phases[0].max_submissions_per_day",
        "any number",
    ),
    (
        "text quota",
        put(*P0, "max_submissions", "many"),
        "not-a-number",
        "phases[0].max_submissions",
        "Refuses",
    ),
    (
        "first migrates",
        put(*P0, "auto_migrate_to_this_phase", True),
        "migrate-to-first",
        "phases[0].auto_migrate_to_this_phase",
        "Refuses the bundle",
    ),
    (
        "several migrate",
        several(two_tasks(), put(*P1, "auto_migrate_to_this_phase", True)),
        "migrate-several-tasks",
        "phases[1].auto_migrate_to_this_phase",
        "nothing ever migrates",
    ),
    (
        "hide text",
        put(*P0, "hide_output", "no"),
        "not-boolean",
        "phases[0].hide_output",
        "valid bool",
    ),
    (
        "open predictions",
        drop(*P0, "hide_prediction_output"),
        "predictions-open",
        "phases[0]",
        "Offers the zip",
    ),
    (
        "hides little",
        put(*P0, "hide_score_output", True),
        "hides-little",
        "phases[0].hide_score_output",
        "Still shows scores",
    ),
    (
        "null kit",
        put(*P0, "starting_kit", None),
        "empty-value",
        "phases[0].starting_kit",
        "join() argument must be str",
    ),
    (
        "null public",
        put(*P0, "public_data", None),
        "empty-value",
        "phases[0].public_data",
        "join() argument must be str",
    ),
    # The board
    (
        "no board",
        drop("leaderboards"),
        "missing-key",
        "leaderboards",
        "Could not find leaderboards",
    ),
    (
        "empty board",
        put("leaderboards", []),
        "empty-list",
        "leaderboards",
        "list index out of range",
    ),
    (
        "two boards",
        lambda b: b.document["leaderboards"].append({"title": "B", "key": "b", "columns": []}),
        "board-unused",
        "leaderboards[1]",
        "shows it nowhere",
    ),
    ("no columns", put(*B, "columns", []), "empty-list", "leaderboards[0].columns", "at least 1"),
    (
        "primary",
        put(*B, "primary_index", 7),
        "primary-without-column",
        "leaderboards[0].primary_index",
        "HTTP 500",
    ),
    (
        "default primary",
        several(drop(*B, "primary_index"), put(*C0, "index", 5)),
        "primary-without-column",
        "leaderboards[0].primary_index",
        "HTTP 500",
    ),
    (
        "rule",
        put(*B, "submission_rule", "Best"),
        "no-valid-choice",
        "leaderboards[0].submission_rule",
        '"Best" is not a valid choice.',
    ),
    (
        "manual",
        put(*B, "submission_rule", "Add"),
        "rule-manual",
        "leaderboards[0].submission_rule",
        "clicks",
    ),
    (
        "manual by default",
        drop(*B, "submission_rule"),
        "rule-manual",
        "leaderboards[0].submission_rule",
        "clicks",
    ),
    (
        "force last",
        two_tasks("Force_Last"),
        "rule-drops-tasks",
        "leaderboards[0].submission_rule",
        "only the task that ended last",
    ),
    (
        "force best ascending",
        two_tasks("Force_Best", "asc"),
        "rule-drops-tasks",
        "leaderboards[0].submission_rule",
        "only the best task",
    ),
    ("hidden board", put(*B, "hidden", True), "board-hidden", "leaderboards[0].hidden", "answers"),
    ("no board key", drop(*B, "key"), "missing-key", "leaderboards[0].key", "Refuses"),
    ("long board", put(*B, "title", "x" * 65), "too-long", "leaderboards[0].title", "more than 64"),
    ("long key", put(*C2, "key", "x" * 37), "too-long", "", "no more than 36 characters"),
    ("same key", put(*C1, "key", "score"), "column-key-twice", "", "must have unique keys!"),
    ("same column index", put(*C1, "index", 0), "column-index-twice", "", "unique indexes!"),
    ("no column index", drop(*C1, "index"), "missing-key", "", "Refuses the bundle"),
    ("sorting", put(*C1, "sorting", "ascending"), "no-valid-choice", "", '"ascending" is not a'),
    ("no precision", drop(*C1, "precision"), "precision-missing", "", "2 decimals"),
    ("precision", put(*C1, "precision", 12), "precision-too-fine", "", "10 decimals"),
    ("column flag", put(*C1, "hidden", "x"), "not-boolean", "", "valid boolean"),
    (
        "half computed",
        put(*C1, "computation", None),
        "computation-without-columns",
        "",
        "must have at least 1 column selected for the computation to act upon",
    ),
    (
        "computed mean",
        several(put(*C1, "computation", "mean"), put(*C1, "computation_indexes", [0])),
        "no-valid-choice",
        "",
        '"mean" is not a valid choice.',
    ),
    (
        "computed of nothing",
        several(put(*C1, "computation", "avg"), put(*C1, "computation_indexes", [0, 5])),
        "computation-unknown-column",
        "",
        "Column index 5 does not exist in available indexes [0, 1, 2]",
    ),
    (
        "computed of itself",
        several(put(*C1, "computation", "avg"), put(*C1, "computation_indexes", [0, 1])),
        "computation-of-itself",
        "",
        "Cannot self-reference",
    ),
    (
        "computed",
        several(
            put(*C1, "computation", "avg"),
            put(*C1, "computation_indexes", [0, 2]),
            put(*C1, "key", "mean"),
        ),
        "computed-column",
        "",
        "over the values that are there",
    ),
    (
        "computed for several",
        several(
            two_tasks(),
            put(*C1, "computation", "avg"),
            put(*C1, "computation_indexes", [0, 2]),
            put(*C1, "key", "mean"),
        ),
        "computed-several-tasks",
        "",
        '"n/a" under every task',
    ),
]

PLANTED += [
    ("a task twice", put(*P0, "tasks", [0, 0]), "phase-task-twice", "phases[0].tasks", "once"),
    (
        "an unused task",
        lambda b: b.document["tasks"].append({**b.document["tasks"][0], "index": 2}),
        "task-unused",
        "tasks[2]",
        "never runs it",
    ),
    (
        "phases of one name",
        put(*P1, "name", "Development"),
        "phase-name-twice",
        "phases[1].name",
        "tell them apart",
    ),
    ("a bare end", put(*P0, "end", date(2026, 2, 1)), "end-at-midnight", "phases[0].end", "00:00"),
    ("a quoted end", put(*P0, "end", "2026-02-01"), "end-at-midnight", "phases[0].end", "00:00:00"),
    *(
        (
            f"the tag {tag}",
            put("docker_image", f"r.example/core:{tag}"),
            "image-tag-moves",
            "docker_image",
            "before every job",
        )
        for tag in ("main", "master", "dev", "nightly", "stable")
    ),
    *(
        (
            f"an image on {host}",
            put("docker_image", f"{host}/core:1.0"),
            "image-local",
            "docker_image",
            f"Pull for {host}/core:1.0 failed",
        )
        for host in ("localhost", "localhost:5000", "127.0.0.1:5000")
    ),
    (
        "the same answers",
        put(*T1, "reference_data", "reference_data/val.zip"),
        "reference-reused",
        "phases[1].tasks",
        "tuned them",
    ),
    (
        "the same bytes",
        lambda b: b.files.update({"reference_data/test.zip": b.files["reference_data/val.zip"]}),
        "reference-reused",
        "phases[1].tasks",
        "tuned them",
    ),
    (
        "no page of results",
        put("enable_detailed_results", True),
        "no-detailed-results",
        "enable_detailed_results",
        "empty page",
    ),
]

# What follows from the planted fault by itself.
FOLLOWING = {
    "index list": {"phase-task-unknown"},
    "same index": {"phase-task-unknown"},
    "no index": set[str](),
    "task key": set[str](),
    "computed": {"score-without-column"},
    "computed for several": {"computed-column", "score-without-column"},
    "computed of nothing": {"computed-column"},
    "computed of itself": {"computed-column"},
    "two boards": {"empty-list"},
    "bare csv": set[str](),
}
WARNINGS = {
    *("no-pages", "limit-above-cap", "quota-missing", "phase-index-missing", "phase-index-twice"),
    *("predictions-open", "rule-manual", "board-hidden", "precision-missing", "computed-column"),
    *("phase-task-twice", "task-unused", "phase-name-twice", "end-at-midnight"),
    *("image-tag-moves", "image-local", "reference-reused", "no-detailed-results"),
    *("hides-little", "dataset-by-key", "task-key-and-more", "score-without-column"),
}


def validated(bundle: Bundle, folder: Path, *, zipped: bool) -> Report:
    path = bundle.as_zip(folder) if zipped else bundle.as_folder(folder / "bundle")
    return validate_bundle(path)


def only(report: Report, code: str) -> Finding:
    found = [finding for finding in report.findings if finding.code == code]
    assert len(found) == 1, report.findings
    return found[0]


def test_the_good_bundle_has_no_finding(tmp_path: Path) -> None:
    for zipped in (False, True):
        report = validated(Bundle(), tmp_path, zipped=zipped)
        assert report.findings == () and report.unread == ()


def test_many_faults_are_planted() -> None:
    assert len(PLANTED) > 130
    assert len({name for name, *_ in PLANTED}) > 0.95 * len(PLANTED)


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("name", "change", "code", "key", "platform"), PLANTED, ids=[p[0] for p in PLANTED]
)
def test_what_is_planted_is_found(
    tmp_path: Path, name: str, change: Change, code: str, key: str, platform: str, zipped: bool
) -> None:
    bundle = Bundle()
    change(bundle)
    report = validated(bundle, tmp_path, zipped=zipped)
    finding = only(report, code)
    assert finding.file == "competition.yaml"
    assert platform in finding.platform
    assert key in finding.key if key == "" else finding.key == key
    others = {one.code for one in report.findings} - {code}
    assert others <= FOLLOWING.get(name, set()), report.findings
    optional = code == "empty-value" and key == "description"
    assert finding.level == ("warning" if code in WARNINGS or optional else "error")
    assert finding.problem and finding.mend and not finding.mend.endswith(".")
    check_line(bundle, finding)


def check_line(bundle: Bundle, finding: Finding) -> None:
    """The line is the key's own, or that of what lacks it."""
    if not finding.key:
        return
    lines = bundle.yaml().decode().splitlines()
    assert finding.line is not None
    place, last = place_of(bundle.document, finding.key)
    there = last in place if isinstance(place, dict) else True
    wanted = str(last) if there and isinstance(last, str) else ""
    assert f"{wanted}:" in lines[finding.line - 1] if wanted else finding.line >= 1


GOOD: list[tuple[str, Change]] = [
    ("title number", put("title", 2026)),
    ("version as text", put("version", "2")),
    ("byte order mark", lambda b: setattr(b, "text", b"\xef\xbb\xbf" + b.yaml())),
    ("a queue", several(put("queue", UUID), put(*P0, "execution_time_limit", 5000))),
    ("null queue", put("queue", None)),
    ("digest", put("docker_image", "h.example/core@sha256:" + "0a" * 32)),
    ("benchmark", put("competition_type", "benchmark")),
    ("limit as text", put(*P0, "execution_time_limit", "300")),
    ("endless last", drop(*P1, "end")),
    ("plain dates", put(*P0, "start", date(2026, 1, 1))),
    ("midnight", put(*P0, "start", datetime(2026, 1, 1))),
    ("UTC", put(*P0, "start", "2026-01-01T00:00:00Z")),
    ("text indexes", several(put(*T0, "index", "a"), put(*P0, "tasks", ["a"]), drop("solutions"))),
    ("task by key", lambda b: b.document["tasks"].__setitem__(1, {"index": 1, "key": UUID})),
    ("two tasks by hand", two_tasks("Add_And_Delete")),
    ("two tasks latest", two_tasks("Force_Latest_Multiple")),
    ("two tasks best", two_tasks("Force_Best")),
    ("no solutions", put("solutions", [])),
    ("dotted", put(*T0, "input_data", "./input_data/val.zip")),
    ("trailing slash", put(*T0, "scoring_program", "programs/scoring_program/")),
    (
        "nulls together",
        several(put(*C1, "computation", None), put(*C1, "computation_indexes", None)),
    ),
    (
        "one phase",
        several(
            lambda b: b.document["phases"].pop(),
            lambda b: b.document["tasks"].pop(),
            drop(*P0, "index"),
        ),
    ),
    ("midnight by hand", put(*P0, "end", "2026-02-01 00:00:00")),
    ("a registry with a port", put("docker_image", "registry.example:5000/core:1.2.3")),
    ("a tag by digest", put("docker_image", "h.example/core:main@sha256:" + "0a" * 32)),
    ("no sheet", drop("fact_sheet")),
    ("no ingestion", several(drop(*T0, "ingestion_program"), drop(*P0, "hide_prediction_output"))),
]


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("change", [g[1] for g in GOOD], ids=[g[0] for g in GOOD])
def test_what_the_platform_takes_is_no_finding(
    tmp_path: Path, change: Change, zipped: bool
) -> None:
    bundle = Bundle()
    change(bundle)
    assert validated(bundle, tmp_path, zipped=zipped).findings == ()


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("typo", put("docker_imgae", "x"), "did you mean `docker_image`?"),
        ("misplaced", put("max_submissions", 5), "where it belongs, a phase"),
        ("published", put("published", True), "publish it on its page"),
        ("index", put(*B, "index", 0), "the order of the list decides"),
        ("unquoted", put(*P0, "end", datetime(2026, 1, 5, 5)), '`end: "2026-01-05 05:00:00"`'),
        ("precision", drop(*C1, "precision"), "`precision: 4`"),
        ("american", put(*P0, "start", "1-04-2026"), '`start: "2026-01-04 00:00:00"`'),
    ],
)
def test_the_edit_mends(tmp_path: Path, name: str, change: Change, part: str) -> None:
    bundle = Bundle()
    change(bundle)
    (finding,) = validated(bundle, tmp_path, zipped=True).findings
    assert part in finding.mend


def place_of(document: Any, key: str) -> tuple[Any, str | int]:
    """Return what holds a key as findings show it, and the key's last part."""
    parts: list[str | int] = [
        int(part[1:-1]) if part.startswith("[") else part.lstrip(".")
        for part in re.findall(r"\[\d+\]|\.?[^.\[\]]+", key)
    ]
    for part in parts[:-1]:
        document = document[part]
    return document, parts[-1]


def test_a_line_to_write_mends_what_it_is_about(tmp_path: Path) -> None:
    mended = 0
    for _, change, code, _, _ in PLANTED:
        bundle = Bundle()
        change(bundle)
        finding = only(validated(bundle, tmp_path, zipped=True), code)
        if not finding.key:
            continue
        holder, last = place_of(bundle.document, finding.key)
        line = re.search(rf"`{re.escape(str(last))}: ([^`]+)`", finding.mend)
        if line is None:
            continue
        if "YYYY" in line[1]:
            # A form to fill in.
            continue
        holder[last] = yaml.safe_load(line[1].replace("...", "a"))
        report = validated(bundle, tmp_path, zipped=True)
        assert code not in {f.code for f in report.findings if f.key == finding.key}
        mended += 1
    assert mended > 70


def test_many_faults_are_told_at_once(tmp_path: Path) -> None:
    chosen = [
        *("typo", "no title", "boolean text", "email", "latest", "absolute", "sheet boolean"),
        *("no task name", "null data", "american", "null limit", "zero quota", "hide text"),
        *("unknown task", "rule", "no precision", "same column index", "sorting", "page typo"),
    ]
    bundle = Bundle()
    expected = set()
    for name, change, code, key, _ in PLANTED:
        if name in chosen:
            change(bundle)
            expected.add((code, key) if key else (code,))
    found = {(f.code, f.key) for f in validated(bundle, tmp_path, zipped=True).findings}
    found |= {(f[0],) for f in found}
    assert len(expected) == len(chosen) and expected <= found


def test_every_competition_of_a_folder_is_checked(tmp_path: Path) -> None:
    bundle = Bundle()
    good = bundle.yaml().decode()
    bundle.files["competitions/other.yaml"] = good.replace("version: 2", "version: 3").encode()
    root = bundle.as_folder(tmp_path / "bundle")
    report = validate_bundle(root)
    assert report.checked == ("competition.yaml", "competitions/other.yaml")
    assert [f.file for f in report.findings] == ["competitions/other.yaml"]
    assert validate_bundle(root, ["two-task"]).findings == ()
    (root / "competitions/two-task.yaml").write_text(good)
    assert only(validate_bundle(root), "competition-id-taken").file == "competitions/two-task.yaml"


def test_an_empty_list_of_tasks_is_mended_with_the_phases_own(tmp_path: Path) -> None:
    bundle = Bundle()
    free = bundle.document["phases"][-1]["tasks"][0]
    bundle.document["phases"][-1]["tasks"] = []
    findings = validated(bundle, tmp_path, zipped=False).findings
    (finding,) = (one for one in findings if one.code == "phase-without-task")
    assert f"`tasks: [{free}]`" in finding.mend


def test_a_misspelt_quota_has_one_edit(tmp_path: Path) -> None:
    bundle = Bundle()
    phase = bundle.document["phases"][0]
    phase["max_submission_per_day"] = phase.pop("max_submissions_per_day")
    codes = [one.code for one in validated(bundle, tmp_path, zipped=False).findings]
    assert codes == ["unknown-key"]
