"""Any ``phase.json`` beside a scoring program."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimicry.errors import BundleError
from mimicry.scoring.settings import read_phase_settings

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text())
KEYS = st.sampled_from(["competition", "phase", "task", "results_page", "other"])
KNOWN = st.sampled_from(["hybrid", "full", "declared"])


@settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(KEYS, KNOWN | VALUES) | VALUES)
def test_any_settings_are_read_or_refused(tmp_path: Path, record: Any) -> None:
    (tmp_path / "phase.json").write_text(json.dumps(record))
    try:
        found = read_phase_settings(tmp_path, "hybrid")
    except BundleError as error:
        assert error.code == "phase-settings" and error.sentence.isprintable()
        return
    assert found is not None and found.task == record["task"] == "hybrid"
    # Only what says so in full shows more than the board's columns.
    assert found.full_page == (record.get("results_page") == "full")
