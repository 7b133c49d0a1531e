"""Flags of Mimicry's own programs are judged as the programs themselves judge them."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from codabench_minibundle import copy_repository
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.codabench.validation.flags import INGESTION, SCORING, Takes, flag_faults
from mimicry.codabench.validation.report import validate_bundle
from mimicry.hybrids.program import main as score
from mimicry.ingestion.arguments import parse

WORDS = (
    *("/app/input", "/app/output", "a", "-", "--weights", "--weights=/w", "--allow-network"),
    *("--allow-network=1", "--allow-networks", "--disk-limit", "--disk-limit=4", "--disk-limit=x"),
    *("0", "0.5", "nan", "inf", "--require-isolation", "--refuse-commands", "--refuse-command"),
    *("--refuse-commands=", "-x", "--weigths"),
)


def asked_for_help(program: Callable[[], object]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        program()
    return said.getvalue()


@pytest.mark.parametrize(
    ("takes", "program"),
    [
        (INGESTION, lambda: parse(["--help"])),
        (SCORING, lambda: score("A", Path(), ["--help"])),
    ],
)
def test_every_flag_of_the_programs_is_known(
    takes: Takes, program: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    usage = asked_for_help(program).splitlines()[0]
    options = [one.strip("[]").split(" ") for one in usage.split(" [")[1:]]
    flags = {one[0]: (one[1:] or [None])[0] for one in options if one[0].startswith("--")}
    assert flags == takes.flags
    assert usage.count("_DIR]") == takes.folders


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_the_verdict_is_the_program_s_own(words: list[str]) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parse(words)
            taken = True
        except SystemExit:
            taken = False
    assert taken == (not list(flag_faults(words, INGESTION)))


@pytest.mark.parametrize(
    ("program", "flag", "said"),
    [
        ("scoring_program_hybrid", "--refuse-comands", "write --refuse-commands"),
        ("scoring_program_hybrid", "\N{EN DASH}refuse-commands", "write --refuse-commands"),
        ("scoring_program_hybrid", "--weights /app/data", "there are --refuse-commands"),
        ("scoring_program_blue", "--refuse_commands", "write --refuse-commands"),
        ("ingestion_program", "--require-isolaton", "write --require-isolation"),
        ("ingestion_program", "--weigths /app/data/w", "write --weights"),
        ("ingestion_program", "--weights", "write --weights FOLDER"),
        ("ingestion_program", "--disk-limit 4g", "with a number above 0"),
        ("ingestion_program", "another", "remove the last ones"),
        ("ingestion_program", "--weights /w another", "remove the last ones"),
    ],
)
def test_a_misspelt_flag_is_an_error_with_its_line(
    tmp_path: Path, program: str, flag: str, said: str
) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    metadata = bundle / program / "metadata.yaml"
    line = metadata.read_text().strip()
    team = "blue" if program.endswith("blue") else "hybrid"

    def found() -> list[tuple[str, int | None, str]]:
        report = validate_bundle(bundle, [team])
        flags = [one for one in report.findings if one.code == "command-flag"]
        return [(one.file, one.line, one.mend) for one in flags]

    metadata.write_text(f"# ours\n{line} {flag}\n", encoding="utf-8")
    ((file, number, mend),) = found()
    assert (file, number) == (f"{program}/metadata.yaml", 2)
    assert said in mend
    good = " --refuse-commands" if "scoring" in program else " --weights /w --disk-limit 4"
    metadata.write_text(line + good + "\n")
    assert found() == []
