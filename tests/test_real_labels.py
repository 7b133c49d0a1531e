"""The whole challenge on a real label file: an image for each of its rows, both forms."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LABELS = ROOT.parent / "shared" / "data" / "hdr" / "ref_val.csv"
BASELINE = "baselines/color_pattern_code_submission"


def mimicry(bundle: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mimicry.cli", *arguments],
        cwd=bundle,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(not LABELS.is_file(), reason="the published label file is not here")
def test_both_competitions_agree_with_each_other_and_with_a_slow_scorer(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for name in ("baselines", "competitions", "ingestion_program"):
        shutil.copytree(ROOT / name, bundle / name)
    for program in ROOT.glob("scoring_program_*"):
        shutil.copytree(program, bundle / program.name)
    shutil.copy(ROOT / "competition.yaml", bundle)
    mimicry(
        bundle,
        "data",
        "demo",
        "--like",
        str(LABELS),
        "--phase",
        "development",
        "--size",
        "1000x700",
    )
    scores = {}
    for competition in ("two-task", "hybrid"):
        mimicry(
            *(bundle, "run", BASELINE, "--competition", competition, "--engine", "subprocess"),
            *("--output", f"runs/{competition}"),
        )
        # Not from run.json, which holds them as the platform keeps them: to ten decimals.
        for path in (bundle / "runs" / competition).glob("*/scoring/scores.json"):
            scores[path.parents[1].name] = json.loads(path.read_text())
    assert {key: len(values) for key, values in scores.items()} == {"A": 6, "mimic": 3, "hybrid": 8}
    for task in ("A", "mimic"):
        for key in set(scores[task]) - {"score"}:
            assert scores[task][key] == scores["hybrid"][key]

    result = tmp_path / "slow.json"
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / "reference_scorer.py")),
            str(bundle / "runs" / "hybrid" / "hybrid" / "prediction" / "predictions.csv"),
            *(str(LABELS), str(result)),
        ],
        check=True,
    )
    assert scores["hybrid"] == pytest.approx(json.loads(result.read_text()), abs=1e-12)
    recalls = [
        scores["hybrid"][key]
        for key in ("A_score_major_recall", "A_score_minor_recall", "mimic_recall")
    ]
    # Clearly above chance, which is 0.05, and clearly below perfect.
    assert all(0.2 < recall < 0.95 for recall in recalls), recalls
