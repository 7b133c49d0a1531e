"""``mimicry demo``: the whole challenge on this machine, from nothing to the board."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.board import show_boards
from mimicry.commands.options import EngineChoice, bundle_option, engine_options, find
from mimicry.commands.run import run_and_show
from mimicry.errors import BundleError
from mimicry.files import remove_tree

if TYPE_CHECKING:
    from mimicry.codabench.run_request import RunRequest

PHASES = ("development", "final")


@dataclass(frozen=True)
class Entry:
    """A submission that the demo hands in: its folder, whose it is, and where."""

    folder: str
    participant: str
    competitions: tuple[str, ...]


ENTRIES = (
    Entry(
        "baselines/color_pattern_code_submission",
        "colour pattern baseline",
        ("two-task", "hybrid"),
    ),
    Entry("baselines/BioCLIP_code_submission", "BioCLIP baseline", ("hybrid",)),
    Entry("baselines/DINO_SGD_code_submission", "DINO SGD baseline", ("hybrid",)),
    Entry("baselines/anomaly_code_submission", "anomaly baseline", ("hybrid",)),
    Entry("baselines/blue_search_submission", "search baseline", ("blue",)),
    Entry("baselines/blue_random_submission", "random baseline", ("blue",)),
    Entry("baselines/red_search_submission", "search baseline", ("red",)),
    Entry("baselines/red_random_submission", "random baseline", ("red",)),
)


@click.command(
    epilog="""\b
Examples:
  mimicry demo
  mimicry demo --engine subprocess"""
)
@engine_options
@bundle_option
def demo(where: EngineChoice, bundle: Path | None) -> int:
    """Make demo data, check and run the baselines of every competition, show the boards.

    Everything lands in the bundle: input_data/, reference_data/, public_data/, demo_data/,
    runs/demo/. The second time, what is there is kept.
    """
    from mimicry.demo.build import build_demo
    from mimicry.demo.zoo import build_zoo

    root = find(bundle)
    _heading(1, "Demo data: butterflies", "mimicry data demo")
    build_demo(root, report=click.echo)
    _heading(2, "Demo data: a zoo of small networks", "mimicry data zoo")
    build_zoo(root, report=click.echo)
    _heading(3, "Check the baselines", f"mimicry check {ENTRIES[0].folder}")
    for entry in ENTRIES:
        if code := _check(root, entry):
            return code
    codes = []
    runs = root / "runs" / "demo"
    steps = [
        (entry, id, phase) for entry in ENTRIES for phase in PHASES for id in entry.competitions
    ]
    for number, (entry, id, phase) in enumerate(steps, 4):
        _heading(
            number,
            f"Run it: {id}, {phase}, {entry.participant}",
            f"mimicry run {entry.folder} --competition {id} --phase {phase}",
        )
        output = runs / id / phase / Path(entry.folder).name
        codes.append(_run_anew_if_changed(_request(entry, id, phase, where, output, root)))
    command = "mimicry board runs/demo --html runs/demo/board.html"
    _heading(4 + len(steps), "The boards", command)
    show_boards((runs,), None, None, root, html=runs / "board.html")
    return next((code for code in (1, 4, 3) if code in codes), 0)


def _check(root: Path, entry: Entry) -> int:
    from mimicry.codabench.json_submission import Known, check_json_submission, is_json_submission
    from mimicry.codabench.submission_check import check_submission
    from mimicry.errors import one_line
    from mimicry.ingestion.requirements import read_allowed

    submission = root / entry.folder
    if is_json_submission(submission):
        report = check_json_submission(submission, Known(root))
    else:
        allowed = read_allowed(root / "ingestion_program" / "allowed_packages.txt")
        report = check_submission(submission, allowed)
    for finding in report.findings:
        click.echo(f"{finding.level:7} {one_line(finding.sentence)} [{finding.code}]")
    click.echo(report.summary)
    return report.exit_code


def _request(
    entry: Entry, id: str, phase: str, where: EngineChoice, output: Path, root: Path
) -> "RunRequest":
    from mimicry.codabench.competition import load_competition
    from mimicry.codabench.run_request import RunRequest
    from mimicry.commands.engine import engine_for, resources_of

    competition = load_competition(root, id)
    chosen = competition.phase(phase)
    return RunRequest(
        competition=competition,
        phase=chosen,
        tasks=chosen.tasks,
        submission=root / entry.folder,
        participant=entry.participant,
        engine=engine_for(where, competition.docker_image),
        output=output,
        resources=resources_of(where),
        pull=where.pull,
        worker_data=where.worker_data,
        # The demo plays the competition as if it were on.
        submitted=chosen.start.isoformat(),
    )


def _run_anew_if_changed(request: "RunRequest") -> int:
    """Run the baseline; the demo's own run of an earlier version makes room."""
    try:
        return run_and_show(request, tail=True)
    except BundleError as error:
        if error.code != "run-folder-taken":
            raise
        click.echo("the baseline has changed since the last demo: its old run is removed")
        remove_tree(request.output)
        return run_and_show(request, tail=True)


def _heading(number: int, title: str, command: str) -> None:
    click.echo(f"\n{number}. {title}\n   $ {command}\n")
