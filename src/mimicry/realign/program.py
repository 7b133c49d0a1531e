"""The scoring programs of Blue and Red: from the platform's folders to scores, or a reason."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimicry import __version__
from mimicry.realign.columns import BLUE_COLUMNS, RED_COLUMNS
from mimicry.realign.documents import read_submission_file
from mimicry.realign.found import find_submission
from mimicry.realign.rules import Team
from mimicry.realign.submissions import refuse_wrong_team
from mimicry.reports.hybrids import ScoreRow
from mimicry.reports.realign import realign_page
from mimicry.scoring.program import Scored, ScoringProgram, run_scoring


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
    columns = BLUE_COLUMNS if team == "blue" else RED_COLUMNS

    def score(source: Path) -> Scored:
        path = find_submission(source / "res")
        document = read_submission_file(path)
        # The other team's file is told as such before anything large is read.
        refuse_wrong_team(document, team, path.name)
        scores, counted = (_blue if team == "blue" else _red)(source, document, path.name)

        def page(title: str, seconds: float) -> str:
            rows = [ScoreRow(c.key, c.title, scores[c.key], c.explanation) for c in columns]
            return realign_page(title, rows, counted, seconds, __version__)

        return Scored(scores, counted, page)

    program = ScoringProgram(
        task=team,
        title=f"{team.capitalize()} team",
        reads="INPUT_DIR/ref (what mimicry realign build made) and INPUT_DIR/res (one JSON file)",
        columns=tuple(column.key for column in columns),
        score=score,
    )
    return run_scoring(program, program_folder, arguments)


def _blue(source: Path, document: dict[str, Any], shown: str) -> tuple[dict[str, float], str]:
    from mimicry.realign.blue import chosen_models, score_models
    from mimicry.realign.reference import read_blue_reference

    reference = read_blue_reference(source / "ref")
    rows = chosen_models(document, shown, reference)
    return score_models(rows, reference), f"{len(rows):,} models"


def _red(source: Path, document: dict[str, Any], shown: str) -> tuple[dict[str, float], str]:
    from mimicry.realign.red import chosen_images, score_images
    from mimicry.realign.reference import read_red_reference

    # The platform mounts the worker's data beside the input, as /app/data.
    reference = read_red_reference(source / "ref", source.parent / "data")
    rows = chosen_images(document, shown, reference)
    return score_images(rows, reference), f"{len(rows):,} stimuli"
