"""The keys that the platform reads from a competition file, and what it ignores.

It ignores every other key, anywhere, in silence.
"""

from collections.abc import Mapping

TOP_FLAGS: Mapping[str, bool] = {
    "registration_auto_approve": False,
    "enable_detailed_results": False,
    "show_detailed_results_in_submission_panel": True,
    "show_detailed_results_in_leaderboard": True,
    "auto_run_submissions": True,
    "can_participants_make_submissions_public": True,
    "forum_enabled": True,
    "make_programs_available": False,
    "make_input_data_available": False,
}
"""The switches of a competition, with the platform's defaults."""

TOP_KEYS = (
    *("version", "title", "description", "image", "terms", "pages", "docker_image"),
    *TOP_FLAGS,
    *("competition_type", "reward", "contact_email", "queue", "fact_sheet", "solutions"),
    *("tasks", "phases", "leaderboards"),
)

PAGE_KEYS = ("title", "file")

FACT_KEYS = ("key", "type", "title", "selection", "is_required", "is_on_leaderboard")

SOLUTION_KEYS = ("index", "tasks", "path", "key")

TASK_PATHS = ("input_data", "reference_data", "ingestion_program", "scoring_program")

TASK_KEYS = ("index", "name", "description", *TASK_PATHS, "ingestion_only_during_scoring", "key")

PHASE_PATHS = ("public_data", "starting_kit")

PHASE_KEYS = (
    *("index", "name", "description", "start", "end", "tasks", "execution_time_limit"),
    *("max_submissions_per_day", "max_submissions", "auto_migrate_to_this_phase"),
    *("hide_output", "hide_prediction_output", "hide_score_output", *PHASE_PATHS),
)

BOARD_KEYS = ("title", "key", "hidden", "submission_rule", "primary_index", "columns")

COMPUTED_KEYS = ("computation", "computation_indexes")

COLUMN_KEYS = ("title", "key", "index", "sorting", "precision", "hidden", *COMPUTED_KEYS)

_HOMES = {
    "a task": TASK_KEYS,
    "a phase": PHASE_KEYS,
    "a leaderboard": BOARD_KEYS,
    "a column": COLUMN_KEYS,
    "the top level": TOP_KEYS,
}

_LATER = "the platform does not read it from a bundle; set it on the competition's page afterwards"

_IGNORED: Mapping[tuple[str, str], str] = {
    ("top", "published"): "a new competition is always unpublished; publish it on its page",
    ("top", "collaborators"): _LATER,
    ("top", "admin_names"): _LATER,
    ("top", "admins"): _LATER,
    ("top", "allow_robot_submissions"): _LATER,
    ("top", "whitelist_emails"): _LATER,
    ("top", "report"): _LATER,
    ("top", "end_date"): "the competition ends with its last phase's `end`",
    ("top", "start_date"): "the competition begins with its first phase's `start`",
    (
        "top",
        "accepts_only_result_submissions",
    ): "a task without `ingestion_program` takes results as its submissions",
    ("task", "is_public"): "a task is made public on the platform's page of tasks",
    ("task", "public_data"): "it belongs to a phase, `phases[].public_data`",
    ("task", "starting_kit"): "it belongs to a phase, `phases[].starting_kit`",
    ("leaderboard", "index"): "the order of the list decides, and only the first one is used",
    ("phase", "solutions"): "solutions stand at the top level, with the indexes of their tasks",
    ("phase", "starting_kit_path"): "the key is `starting_kit`",
    ("phase", "max_execution_time"): "the key is `execution_time_limit`",
}


def why_ignored(kind: str, key: str) -> str | None:
    """Return why a key that people expect to work does nothing, None for any other key."""
    return _IGNORED.get((kind, key))


def home_of(key: str) -> str | None:
    """Return the kind of mapping in which the platform reads `key`, None when in none."""
    return next((home for home, names in _HOMES.items() if key in names), None)
