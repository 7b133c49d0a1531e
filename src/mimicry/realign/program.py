"""The scoring programs of Blue and Red: from the platform's folders to scores, or a reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from mimicry.realign.columns import BLUE_COLUMNS, RED_COLUMNS, Column
from mimicry.realign.documents import read_submission_file
from mimicry.realign.found import find_submission
from mimicry.realign.rules import Team
from mimicry.realign.submissions import refuse_wrong_team
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.realign import declared_page
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.program import run_scoring

_COLUMNS: Mapping[Team, tuple[Column, ...]] = {"blue": BLUE_COLUMNS, "red": RED_COLUMNS}


def main(team: Team, program_folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the scoring program of one team and return its exit code.

    Parameters
    ----------
    team : str
        ``blue`` or ``red``; also the task's key.
    program_folder : Path
        Where the entry script lies, and ``phase.json`` if it was packed.
    arguments : sequence of str, optional
        ``[INPUT_DIR [OUTPUT_DIR]]``; ``sys.argv[1:]`` by default. Activations outside of
        the reference data are looked for in ``data`` beside INPUT_DIR.

    Returns
    -------
    int
        As `mimicry.scoring.program.run_scoring`.
    """
    program = ScoringProgram(
        task=team,
        title=f"{team.capitalize()} team",
        reads="INPUT_DIR/ref (what mimicry realign build made) and INPUT_DIR/res (one JSON file)",
        columns=tuple(column.key for column in _COLUMNS[team]),
        score=lambda source: score_submission(team, source),
    )
    return run_scoring(program, program_folder, arguments)


def score_submission(team: Team, source: Path) -> Scored:
    """Score one submission, as the platform lays it out.

    Parameters
    ----------
    team : str
        ``blue`` or ``red``.
    source : Path
        Holds ``ref``, the reference data, and ``res`` with one JSON file. Beside it lies
        ``data``, what stands for ``/app/data``, if the rules lead there.

    Raises
    ------
    SubmissionError
        No JSON file or several, and what `mimicry.realign.blue.chosen_models` and
        `mimicry.realign.red.chosen_images` find.
    BundleError
        What `mimicry.realign.reference` and the scores find.
    """
    path = find_submission(source / "res")
    document = read_submission_file(path)
    # The other team's file is told as such before anything large is read.
    refuse_wrong_team(document, team, path.name)
    return (_blue if team == "blue" else _red)(source, document, path.name)


def _blue(source: Path, document: dict[str, Any], shown: str) -> Scored:
    from mimicry.realign.blue import chosen_models, score_models
    from mimicry.realign.reference import read_blue_reference

    reference = read_blue_reference(source / "ref")
    rows = chosen_models(document, shown, reference)
    scores, counted = score_models(rows, reference), f"{len(rows):,} models"

    def page(facts: Facts) -> Sequence[Element]:
        columns = _rows("blue", scores)
        if not facts.full:
            return declared_page(columns, counted, facts)
        from mimicry.realign.details_blue import blue_details
        from mimicry.reports.blue import blue_page

        return blue_page(columns, counted, facts, blue_details(rows, reference, scores))

    return Scored(scores, counted, page)


def _red(source: Path, document: dict[str, Any], shown: str) -> Scored:
    from mimicry.realign.red import chosen_images, score_images
    from mimicry.realign.reference import read_red_reference

    # The platform mounts the worker's data beside the input, as /app/data.
    reference = read_red_reference(source / "ref", source.parent / "data")
    rows = chosen_images(document, shown, reference)
    scores, counted = score_images(rows, reference), f"{len(rows):,} stimuli"

    def page(facts: Facts) -> Sequence[Element]:
        columns = _rows("red", scores)
        if not facts.full:
            return declared_page(columns, counted, facts)
        from mimicry.realign.details_red import red_details
        from mimicry.reports.red import red_page

        return red_page(columns, counted, facts, red_details(rows, reference, scores))

    return Scored(scores, counted, page)


def _rows(team: Team, scores: Mapping[str, float]) -> list[ScoreRow]:
    return [ScoreRow(c.key, c.title, scores[c.key], c.explanation) for c in _COLUMNS[team]]
