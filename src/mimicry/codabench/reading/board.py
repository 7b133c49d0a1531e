"""Reads the leaderboard of a competition file."""

from mimicry.codabench.model import Column, Leaderboard, Phase
from mimicry.codabench.reading.document import TOOL, UNPACK_LOG, WARNING, shown
from mimicry.codabench.reading.known_keys import BOARD_KEYS, COLUMN_KEYS, COMPUTED_KEYS
from mimicry.codabench.reading.section import Section

RULES = (
    "Add",
    "Add_And_Delete",
    "Add_And_Delete_Multiple",
    "Force_Last",
    "Force_Latest_Multiple",
    "Force_Best",
)

COMPUTATIONS = ("avg", "sum", "min", "max")

_NO_BOARD = 'Refuses the bundle: "Could not find leaderboards in the competition yaml"'
_NO_COLUMN = 'Refuses the bundle: "Leaderboards require at least 1 column"'
_LINE = "{title: Score, key: score, index: 0, sorting: desc, precision: 4}"
_REFUSED = "Refuses the bundle."
DEFAULT_PRECISION = 2


def read_board(top: Section) -> Leaderboard | None:
    """Return the one leaderboard, its columns in the order of their indexes.

    Faults are noted in the document; None when there is no leaderboard at all.
    """
    example = "leaderboards: [{title: Results, key: main, columns: [...]}]"
    empty = f'"{UNPACK_LOG} list index out of range"'
    boards = list(top.sections("leaderboards", example, _NO_BOARD, empty=empty))
    if not boards:
        return None
    for other in boards[1:]:
        other.fault(
            None,
            "board-unused",
            "the platform uses the first leaderboard only",
            "Saves this one and shows it nowhere.",
            "remove it, or make another competition of it",
        )
    board = boards[0]
    board.known(BOARD_KEYS, "leaderboard")
    columns = _read_columns(board)
    return Leaderboard(
        title=board.text("title", "Results", limit=64, platform=_REFUSED),
        key=board.text("key", "main", limit=36, platform=_REFUSED),
        submission_rule=board.choice("submission_rule", RULES, default="Add"),
        primary_index=_read_primary(board, columns),
        columns=tuple(sorted(columns, key=lambda column: column.index)),
    )


def check_rule(top: Section, phases: tuple[Phase, ...], board: Leaderboard) -> None:
    """Note rules that drop results, or wait for people, given how many tasks phases have.

    ``Force_Last`` keeps the task that ended last, ``Force_Best`` with an ascending
    ranking column keeps the best task. Says nothing where a fault stands in what it needs.
    """
    document = top.document
    numbers = range(len(phases))
    if not (
        top.sound("leaderboards")
        and document.sound(("phases",), depth=2)
        and all(document.sound(("phases", number, "tasks")) for number in numbers)
    ):
        return
    listed = [section["tasks"] for section in top.data["phases"]]
    several = any(len(tasks) > 1 for tasks in listed)
    rule, keys = board.submission_rule, ("leaderboards", 0)
    if several and (
        rule == "Force_Last" or (rule == "Force_Best" and board.primary.sorting == "asc")
    ):
        left = "only the task that ended last" if rule == "Force_Last" else "only the best task"
        top.document.fault(
            (*keys, "submission_rule"),
            "rule-drops-tasks",
            f"with several tasks in a phase, {rule} keeps one task's result and drops the others",
            f"Keeps {left} of each submission on the board, in silence.",
            "write `submission_rule: Add_And_Delete` or `submission_rule: Force_Latest_Multiple`",
        )
    if not several and rule.startswith("Add"):
        written = "submission_rule" in top.data["leaderboards"][0]
        top.document.fault(
            (*keys, "submission_rule") if written else keys,
            "rule-manual",
            f"with {rule} nothing appears on the board by itself",
            "Waits until each participant clicks “add to leaderboard”.",
            "write `submission_rule: Force_Best` to rank by itself",
            level=WARNING,
            missing=None if written else "submission_rule",
        )
    if several:
        _check_computed_tasks(top, board)


def _check_computed_tasks(top: Section, board: Leaderboard) -> None:
    for number, column in enumerate(top.data["leaderboards"][0]["columns"]):
        if column.get("computation") is not None:
            primary = column.get("index") == board.primary_index
            top.document.fault(
                ("leaderboards", 0, "columns", number, "computation"),
                "computed-several-tasks",
                "with several tasks in a phase a computed column has no value that is shown",
                'Shows "n/a" under every task'
                + (", and ranks by nothing." if primary else ", since only the parent has one."),
                "compute the value in the scoring program",
            )


def _read_primary(board: Section, columns: list[Column]) -> int:
    key = "primary_index"
    broken = "Unpacks it; then the leaderboard answers with HTTP 500."
    primary = 0
    if board.has(key):
        primary = board.number(key, least=0, example=0, platform=broken)
    if (
        columns
        and board.sound("columns", key)
        and primary not in {column.index for column in columns}
    ):
        board.fault(
            key,
            "primary-without-column",
            f"no column has the index {shown(primary)}",
            broken,
            f"write `{key}: {columns[0].index}`, the index of a column",
        )
    if board.flag("hidden", default=False):
        board.warn(
            "hidden",
            "board-hidden",
            "a hidden leaderboard is not secret",
            "Still answers anyone who asks for the phase's leaderboard or a submission's scores.",
            "keep final results secret by not running them, `auto_run_submissions: false`",
        )
    return primary


def _read_columns(board: Section) -> list[Column]:
    columns: list[Column] = []
    taken: dict[str, set[object]] = {"key": set(), "index": set()}
    sections = list(board.sections("columns", f"columns: [{_LINE}]", _NO_COLUMN, empty=_NO_COLUMN))
    for section in sections:
        section.known(COLUMN_KEYS, "column")
        column = Column(
            title=section.text("title", "Score", limit=36, platform=_REFUSED),
            key=section.text("key", "score", limit=36, platform=_REFUSED),
            index=section.number("index", least=0, example=0, platform=_REFUSED),
            sorting=section.choice("sorting", ("desc", "asc"), default="desc"),
            precision=_read_precision(section),
            hidden=section.flag("hidden", default=False),
        )
        for key, said in (
            ("key", "Columns must have unique keys!"),
            ("index", "Columns must have unique indexes!"),
        ):
            if section.sound(key):
                value = getattr(column, key)
                if value in taken[key]:
                    section.fault(
                        key,
                        f"column-{key}-twice",
                        f"two columns have the same {key}",
                        f'Refuses the bundle: "{said}"',
                        "change one",
                    )
                taken[key].add(value)
        columns.append(column)
    indexes = [column.index for column in columns]
    for section in sections:
        _check_computation(section, indexes)
    return columns


def _read_precision(section: Section) -> int:
    if "precision" not in section.data:
        section.fault(
            None,
            "precision-missing",
            "the key `precision` is missing",
            f"Shows {DEFAULT_PRECISION} decimals, so that different scores look the same.",
            "add a line such as `precision: 4`",
            level=WARNING,
            missing="precision",
        )
        return DEFAULT_PRECISION
    precision = section.number("precision", least=0, example=4, platform=_REFUSED)
    if precision > 10:
        section.fault(
            "precision",
            "precision-too-fine",
            "the platform keeps 10 decimals",
            "Rounds scores to 10 decimals before they are shown.",
            "write at most 10, such as `precision: 4`",
        )
        return 10
    return precision


def _check_computation(section: Section, indexes: list[int]) -> None:
    if not any(key in section.data for key in COMPUTED_KEYS):
        return
    kind, sources = (section.data.get(key) for key in COMPUTED_KEYS)
    if kind is None and sources is None and all(key in section.data for key in COMPUTED_KEYS):
        return
    if kind is not None and (not isinstance(kind, str) or kind not in COMPUTATIONS):
        section.choice("computation", COMPUTATIONS, default="avg")
        return
    if kind is None or not isinstance(sources, list) or not sources:
        section.fault(
            "computation" if "computation" in section.data else "computation_indexes",
            "computation-without-columns",
            "a computed column needs both `computation` and `computation_indexes`",
            'Refuses the bundle: "Column with computation must have at least 1 column selected for '
            'the computation to act upon"',
            "write `computation_indexes: [1, 2]` with the indexes of other columns, or remove both",
        )
        return
    own = section.data.get("index")
    for source in sources:
        if isinstance(source, bool) or not isinstance(source, int) or source not in indexes:
            section.fault(
                "computation_indexes",
                "computation-unknown-column",
                f"no column has the index {shown(source)}",
                f'Refuses the bundle: "Column index {shown(source)} does not exist in available '
                f'indexes {indexes[:20]}"',
                "name indexes of columns",
            )
        elif source == own:
            section.fault(
                "computation_indexes",
                "computation-of-itself",
                "the column is computed from itself",
                'Refuses the bundle: "... referencing itself. Cannot self-reference, must be other '
                'columns."',
                "remove its own index",
            )
    section.warn(
        "computation",
        "computed-column",
        "computed columns reward skipping: a submission without one of the values is ranked by "
        "the rest",
        "Computes over the values that are there; if the scores hold this column's key, too, it "
        "answers 500 and there is no entry.",
        "compute the value in the scoring program and remove both keys",
    )
    section.fault(
        "computation",
        "computed-here",
        "computed columns reward skipping a task, and are not computed here",
        "Computes the value by itself.",
        "compute the value in the scoring program",
        level=TOOL,
    )
