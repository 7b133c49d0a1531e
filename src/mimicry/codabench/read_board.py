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

_COMPUTED_KEYS = ("computation", "computation_indexes")


def read_board(top: Section) -> Leaderboard | None:
    """Return the one leaderboard, its columns in the order of their indexes.

    Faults are noted in the document; None when there is no leaderboard at all.
    """
    example = "leaderboards: [{title: Results, key: main, columns: [...]}]"
    boards = list(top.sections("leaderboards", example))
    if not boards:
        return None
    for other in boards[1:]:
        other.fault(None, "the platform uses the first leaderboard only; remove others.")
    board = boards[0]
    board.known(_BOARD_KEYS)
    columns: list[Column] = []
    taken: dict[str, set[object]] = {"key": set(), "index": set()}
    line = "{title: Score, key: score, index: 0, sorting: desc, precision: 4}"
    for section in board.sections("columns", f"columns: [{line}]"):
        if any(key in section.data for key in _COMPUTED_KEYS):
            section.fault(
                None, "computed columns reward skipping a task; compute the value when scoring."
            )
        section.known((*_COLUMN_KEYS, *_COMPUTED_KEYS))
        index = section.number("index", least=0, example=0)
        precision = section.number("precision", least=0, example=4)
        if precision > 10:
            section.fault("precision", "the platform keeps 10 decimals; write at most 10.")
        column = Column(
            title=section.text("title", "Score", limit=36),
            key=section.text("key", "score", limit=36),
            index=index,
            sorting=section.choice("sorting", ("desc", "asc"), default="desc"),
            precision=precision,
            hidden=section.flag("hidden", default=False),
        )
        for key in ("key", "index"):
            if section.sound(key):
                value = getattr(column, key)
                if value in taken[key]:
                    section.fault(key, f"two columns have the same {key}; change one.")
                taken[key].add(value)
        columns.append(column)
    primary = board.count("primary_index", least=0, example=0) or 0
    comparable = board.sound("columns", "primary_index")
    if comparable and primary not in {column.index for column in columns}:
        board.fault(
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
    ranking column keeps the best task. Only for phases and a board without a fault.
    """
    several = any(len(phase.tasks) > 1 for phase in phases)
    rule = board.submission_rule
    if several and (
        rule == "Force_Last" or (rule == "Force_Best" and board.primary.sorting == "asc")
    ):
        top.document.fault(
            ("leaderboards", 0, "submission_rule"),
            f"with several tasks in a phase, {rule} keeps one task's result and drops the others; "
            "use Add_And_Delete.",
        )
