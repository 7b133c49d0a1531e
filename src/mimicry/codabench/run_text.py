"""How a run went, in the lines that end it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mimicry.codabench.records import RunRecord
from mimicry.codabench.run_files import last_lines
from mimicry.errors import one_line

TAIL_LINES = 30


def summary(record: RunRecord, folder: Path, columns: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines that end a run: every task's scores, or the code of what went wrong.

    Parameters
    ----------
    record : RunRecord
        A run that has ended.
    folder : Path
        Its folder, named in the last line.
    columns : mapping
        The board's column keys in its order, with their decimals.
    """
    for key, task in record.tasks.items():
        if task.scores is not None:
            values = [f"{c} {task.scores[c]:.{d}f}" for c, d in columns.items() if c in task.scores]
            spent = sum(seconds or 0.0 for seconds in task.seconds.values())
            yield f"task {key}: finished in {spent:.1f} s"
            yield from (f"  {value}" for value in values)
        else:
            yield f"task {key}: {task.state} [{task.error_code or 'it did not end'}]"
        yield from (f"  note: {one_line(note)}" for note in task.notes)
    yield f"run folder: {folder}"


def failures(record: RunRecord) -> list[str]:
    """Return one sentence for every way in which tasks failed, naming the tasks.

    Tasks that failed for the same reason share a line.
    """
    tasks: dict[str, list[str]] = {}
    for key, task in record.tasks.items():
        if task.error is not None:
            tasks.setdefault(f"{task.error} [{task.error_code}]", []).append(key)
    return [
        f"{'task' if len(keys) == 1 else 'tasks'} {', '.join(keys)}: {reason}"
        for reason, keys in tasks.items()
    ]


def failure_tail(folder: Path, key: str) -> list[str]:
    """Return the end of what the participant's code printed, escape sequences removed.

    Empty for a task that printed nothing or never started.
    """
    return last_lines(folder / key / "prediction" / "participant.log", TAIL_LINES)
