"""What the worker's record of the prediction step decides."""

from pathlib import Path

import pytest

from mimicry.errors import BundleError, SubmissionError
from mimicry.hybrids.program import main
from mimicry.scoring.worker_record import check_ingestion_ended, refuse_own_command


def record(folder: Path, text: str) -> Path:
    (folder / "metadata").write_text(text)
    return folder


@pytest.mark.parametrize("value", ["null", "~", "Null  # not run"])
def test_without_a_command_nothing_is_refused(tmp_path: Path, value: str) -> None:
    refuse_own_command(record(tmp_path, f"elapsedTime: 1.5\nexitCode: {value}\n"))
    refuse_own_command(record(tmp_path, "ingestionExitCode: 0\n"))


@pytest.mark.parametrize("value", ["0", "1", "137", "-9"])
def test_a_command_of_its_own_is_refused_whatever_it_ended_with(tmp_path: Path, value: str) -> None:
    folder = record(tmp_path, f"elapsedTime: 1.5\nexitCode: {value}\ningestionExitCode: 0\n")
    with pytest.raises(SubmissionError, match="submission-command-refused"):
        refuse_own_command(folder)
    check_ingestion_ended(folder)


def test_no_record_is_a_dry_run_by_hand(tmp_path: Path) -> None:
    refuse_own_command(tmp_path)
    check_ingestion_ended(tmp_path)


def test_a_link_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "metadata").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="ingestion-exit-code"):
        refuse_own_command(tmp_path)


def test_the_scoring_programs_take_the_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in/res").mkdir(parents=True)
    record(tmp_path / "in/res", "exitCode: 0\n")
    arguments = [str(tmp_path / "in"), str(tmp_path / "out")]
    assert main("A", tmp_path, [*arguments, "--refuse-commands"]) == 3
    assert "[submission-command-refused]" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out/scores.json").exists()
    assert main("A", tmp_path, arguments) == 3
    assert "[ingestion-unfinished]" in capsys.readouterr().err.splitlines()[-1]
