"""The page of a run with several tasks."""

from page_reader import Page

from mimicry.reports.parts import section, table
from mimicry.reports.run import StepPart, TaskPart, report_page


def test_the_steps_of_every_task_are_a_region_of_their_own() -> None:
    steps = [StepPart("ingestion", 0, 1.5, 200_000_000), StepPart("scoring", None, None, None)]
    results = section("Results", table(("Name", "Value"), [("a", "1")], caption="Numbers"))
    tasks = [
        TaskPart(name, "finished", steps, [], None, [], [results], None, [])
        for name in ("A", "mimic")
    ]
    found = Page(report_page("x.zip", "ann", [("Submission", "x.zip")], tasks))
    regions = [a["aria-label"] for a in found.all("div") if a.get("role") == "region"]
    assert regions == ["Steps of task A", "A: Numbers", "Steps of task mimic", "mimic: Numbers"]
    assert {"Steps of task A", "Steps of task mimic", "Numbers"} <= {t for _, t in found.texts}
    alone = Page(report_page("x.zip", "ann", [("Submission", "x.zip")], tasks[:1]))
    assert "Numbers" in {a.get("aria-label") for a in alone.all("div")}
