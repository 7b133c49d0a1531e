"""What a competition is made of, as the platform understands it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mimicry.errors import BundleError


@dataclass(frozen=True)
class Column:
    """One column of the board; `sorting` is ``desc`` (higher is better) or ``asc``."""

    title: str
    key: str
    index: int
    sorting: str
    precision: int
    hidden: bool


@dataclass(frozen=True)
class Leaderboard:
    """The board: `primary_index` is the `index` of the column that ranks."""

    title: str
    key: str
    submission_rule: str
    primary_index: int
    columns: tuple[Column, ...]

    @property
    def primary(self) -> Column:
        """The column that ranks."""
        return next(column for column in self.columns if column.index == self.primary_index)


@dataclass(frozen=True)
class Task:
    """One ingestion and scoring pair; paths are absolute, `key` is its short name.

    Data are zips or folders, which the platform takes alike.
    """

    index: int
    name: str
    key: str
    input_data: Path | None
    reference_data: Path | None
    ingestion_program: Path | None
    scoring_program: Path


@dataclass(frozen=True)
class Phase:
    """One phase; dates are UTC, the limit is in seconds, None means without limit.

    `public_data` and `starting_kit` are what participants may download, files or folders.
    """

    index: int
    name: str
    slug: str
    description: str
    start: datetime
    end: datetime | None
    tasks: tuple[Task, ...]
    execution_time_limit: int
    max_submissions_per_day: int | None
    max_submissions: int | None
    auto_migrate: bool
    hide_output: bool
    hide_prediction_output: bool
    hide_score_output: bool
    public_data: Path | None = None
    starting_kit: Path | None = None


@dataclass(frozen=True)
class Competition:
    """One competition of a bundle.

    Attributes
    ----------
    id : str
        Its name on the command line: ``two-task`` for the root's file, else the stem.
    path, bundle : Path
        Its file and the bundle's root, both absolute.
    document : Mapping
        The file's content, as parsed.
    """

    id: str
    path: Path
    bundle: Path
    title: str
    docker_image: str
    phases: tuple[Phase, ...]
    leaderboard: Leaderboard
    document: Mapping[str, Any]

    def phase(self, name: str) -> Phase:
        """Return the phase with the slug `name` (its name works too, in any case).

        Raises
        ------
        BundleError
            `phase-unknown`, listing the phases that exist.
        """
        for phase in self.phases:
            if phase.slug == slug(name):
                return phase
        known = ", ".join(phase.slug for phase in self.phases)
        raise BundleError(
            "phase-unknown", f"{self.id} has no phase {name!r}; choose one of: {known}."
        )


def slug(name: str) -> str:
    """Return `name` in lower case with hyphens for everything but letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
