"""The findings of a check, as `check` and `pack-submission` print them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.errors import one_line

if TYPE_CHECKING:
    from mimicry.codabench.submission_check import CheckReport
    from mimicry.codabench.validation.report import Report
    from mimicry.ingestion.requirements import Allowed


def check_in(
    root: Path | None, submission: Path, *, commands_refused: bool = False
) -> "CheckReport":
    """Check a submission against the list of packages of the bundle `root`, if any."""
    from mimicry.codabench.submission_check import check_submission

    allowed = None if root is None else _allowed(root)
    return check_submission(submission, allowed, commands_refused=commands_refused)


def show_findings(report: "CheckReport") -> None:
    """Print every finding on a line."""
    for finding in report.findings:
        click.echo(f"{finding.level:7} {one_line(finding.sentence)} [{finding.code}]")


def show_report(report: "Report") -> None:
    """Print every finding of a validation: where, what, what the platform does, the edit."""
    for finding in report.findings:
        where = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
        click.echo(f"{finding.level:7} {' '.join(filter(None, (where, finding.key)))}")
        click.echo(f"        {finding.problem} [{finding.code}]")
        if finding.platform:
            click.echo(f"        platform: {finding.platform}")
        click.echo(f"        edit:     {finding.mend}")
    for text in report.unread:
        click.echo(f"note    {text}")


def _allowed(root: Path) -> "Allowed":
    from mimicry.ingestion.requirements import read_allowed

    return read_allowed(root / "ingestion_program" / "allowed_packages.txt")
