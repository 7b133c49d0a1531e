"""Reads the leaderboard of a competition file."""

from mimicry.codabench.document import Section
from mimicry.codabench.model import Column, Leaderboard, Phase

RULES = (
    "Add",
    "Add_And_Delete",
    "Add_And_Delete_Multiple",
    "Force_Last",
    "Force_Latest_Multiple",
    "Force_Best",
)

_BOARD_KEYS = ("title", "key", "hidden", "submission_rule", "primary_index", "columns")

_COLUMN_KEYS = ("title", "key", "index", "sorting", "precision", "hidden")


def read_board(top: Section) -> Leaderboard:
    """Return the one leaderboard; its columns are in the order of their indexes.

    Raises
    ------
    BundleError
        `competition-yaml`, with the line and the edit that mends it.
    """
    example = "leaderboards: [{title: Results, key: main, columns: [...]}]"
    boards = list(top.sections("leaderboards", example))
    if len(boards) > 1:
        raise boards[1].error(None, "the platform uses the first leaderboard only; remove others.")
    board = boards[0]
    board.known(_BOARD_KEYS)
    columns: list[Column] = []
    line = "{title: Score, key: score, index: 0, sorting: desc, precision: 4}"
    for section in board.sections("columns", f"columns: [{line}]"):
        if "computation" in section.data or "computation_indexes" in section.data:
            raise section.error(
                None, "computed columns reward skipping a task; compute the value when scoring."
            )
        section.known(_COLUMN_KEYS)
        index = section.count("index", least=0, example=0, required=True)
        precision = section.count("precision", least=0, example=4, required=True)
        assert index is not None and precision is not None
        if precision > 10:
            raise section.error("precision", "the platform keeps 10 decimals; write at most 10.")
        column = Column(
            title=section.text("title", "Score", limit=36),
            key=section.text("key", "score", limit=36),
            index=index,
            sorting=section.choice("sorting", ("desc", "asc"), default="desc"),
            precision=precision,
            hidden=section.flag("hidden", default=False),
        )
        for other in columns:
            for key in ("key", "index"):
                if getattr(other, key) == getattr(column, key):
                    raise section.error(key, f"two columns have the same {key}; change one.")
        columns.append(column)
    primary = board.count("primary_index", least=0, example=0) or 0
    if primary not in {column.index for column in columns}:
        raise board.error(
            "primary_index", f"no column has the index {primary}; name one, or nothing is shown."
        )
    return Leaderboard(
        title=board.text("title", "Results", limit=64),
        key=board.text("key", "main", limit=36),
        submission_rule=board.choice("submission_rule", RULES, default="Add"),
        primary_index=primary,
        columns=tuple(sorted(columns, key=lambda column: column.index)),
    )


def check_rule(top: Section, phases: tuple[Phase, ...], board: Leaderboard) -> None:
    """Refuse the rules that drop results when a phase has several tasks.

    ``Force_Last`` keeps the task that ended last, ``Force_Best`` with an ascending
    ranking column keeps the best task.

    Raises
    ------
    BundleError
        `competition-yaml`, with the line and the edit that mends it.
    """
    several = any(len(phase.tasks) > 1 for phase in phases)
    rule = board.submission_rule
    if several and (
        rule == "Force_Last" or (rule == "Force_Best" and board.primary.sorting == "asc")
    ):
        raise top.document.error(
            ("leaderboards", 0, "submission_rule"),
            f"with several tasks in a phase, {rule} keeps one task's result and drops the others; "
            "use Add_And_Delete.",
        )
