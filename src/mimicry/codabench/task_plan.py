"""What the worker is told: one task, its limits and what it may use."""

import threading
from dataclasses import dataclass
from pathlib import Path

from mimicry.codabench.engines import NO_LIMITS, Resources
from mimicry.codabench.model import Task
from mimicry.codabench.programs import ProgramSettings

GRACE = 5.0
"""Seconds that a program gets over its limit before it is ended by force."""


@dataclass(frozen=True)
class TaskPlan:
    """One task to run.

    Attributes
    ----------
    task : Task
        Which programs and data.
    settings : ProgramSettings
        Packed with the programs.
    time_limit : float or None
        Seconds instead of the phase's limit.
    columns : tuple of str
        The board's column keys.
    primary : str
        The key of the column that ranks.
    alone : bool
        Whether the phase has no other task.
    image : str
        The competition's container image.
    resources : Resources
        What every container of the task may use.
    worker_data : Path or None
        What the worker's operator keeps for all submissions; shown as ``/app/data``.
    require_isolation : bool
        Whether a model without all protections is not started.
    stop : threading.Event or None
        Once set, the task is given up with `JobStoppedError`.
    """

    task: Task
    settings: ProgramSettings
    time_limit: float | None
    columns: tuple[str, ...]
    primary: str = ""
    alone: bool = False
    image: str = ""
    resources: Resources = NO_LIMITS
    worker_data: Path | None = None
    require_isolation: bool = False
    stop: threading.Event | None = None

    @property
    def limit(self) -> float:
        """Seconds that a program may take: the phase's limit, or what was said instead."""
        return self.time_limit or float(self.settings.execution_time_limit)

    @property
    def hard_limit(self) -> float:
        """Seconds after which a program is ended by force."""
        return self.limit + GRACE
