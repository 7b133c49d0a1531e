"""Installing what a submission is allowed to ask for and the container lacks.

The packages go into an environment of their own that lies over the running one,
so that nothing of the container, or of the machine of a dry run, is changed.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import BundleError, SubmissionError, one_line

WHEELS_VARIABLE = "MIMICRY_WHEELS"
WHEELS_FOLDER = "wheels"
# Where an organiser's own worker can hold them; see the platform's documentation.
WORKER_WHEELS = Path("/app/data/wheels")
# What trials may take: each, and all of them of the time left.
TRIAL_SECONDS = 30.0
TRIALS_SHARE = 0.5


def find_wheels(program: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of offline wheels, if the organiser has given one.

    ``MIMICRY_WHEELS`` comes first, then ``wheels/`` in the program's folder, then
    ``/app/data/wheels``.

    Raises
    ------
    BundleError
        ``wheels-folder``: the variable names no folder.
    """
    named = environment.get(WHEELS_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise BundleError("wheels-folder", f"{WHEELS_VARIABLE}={named} is not a folder.")
        return Path(named)
    for folder in (program / WHEELS_FOLDER, WORKER_WHEELS):
        if folder.is_dir():
            return folder
    return None


def install(
    missing: Sequence[str], allowed_file: Path, scratch: Path, wheels: Path | None, timeout: float
) -> list[str]:
    """Install requirements in one call of pip and return the folders to search for modules.

    Parameters
    ----------
    missing : sequence of str
        As `mimicry.ingestion.requirements.check_requirements` returns it.
    allowed_file : Path
        Binds the versions of what the requirements pull in, too.
    scratch : Path
        A private folder; the environment is made inside.
    wheels : Path or None
        Where given, pip looks there and nowhere else.
    timeout : float
        Seconds.

    Returns
    -------
    list of str
        To go before the container's own module path.

    Raises
    ------
    SubmissionError
        ``requirements-install``: pip could not, with its last word on the matter.
    """
    environment = _environment(scratch, timeout)
    _run(environment.pip([*missing], allowed_file, wheels), timeout, ", ".join(missing))
    return [environment.library]


def installable(
    requirements: Sequence[str],
    allowed_file: Path,
    scratch: Path,
    wheels: Path | None,
    left: Callable[[], float],
) -> list[str]:
    """Return the requirements that pip could install, each for itself.

    Nothing is installed and no request is repeated, so that it is quick.

    Parameters
    ----------
    requirements : sequence of str
        PEP 508 requirements.
    allowed_file, scratch, wheels
        As `install` takes them.
    left : callable
        Gives the seconds that are left; all trials together take half of them at most.

    Returns
    -------
    list of str
        In the order given.
    """
    until = left() * (1 - TRIALS_SHARE)
    found: list[str] = []
    try:
        environment = _environment(scratch, max(0.0, left() - until))
        for requirement in requirements:
            timeout = min(TRIAL_SECONDS, left() - until)
            if timeout <= 0:
                break
            quick = ["--dry-run", "--retries", "0", "--timeout", "5", requirement]
            command = environment.pip(quick, allowed_file, wheels)
            with suppress(SubmissionError):
                _run(command, timeout, requirement)
                found.append(requirement)
    except SubmissionError:
        # No environment in time, so nothing can be had.
        return []
    return found


class _Environment(NamedTuple):
    python: Path
    library: str

    def pip(self, what: list[str], allowed_file: Path, wheels: Path | None) -> list[str]:
        """Return a command of pip that installs into this environment."""
        source = ["--no-index", "--find-links", str(wheels)] if wheels is not None else []
        return [
            *(str(self.python), "-m", "pip", "install", "--quiet", "--no-input"),
            *("--disable-pip-version-check", "--no-warn-script-location", "--no-cache-dir"),
            # Building from source would run a package's code with the program's rights.
            *("--only-binary", ":all:", "--constraint", str(allowed_file), *source, *what),
        ]


def _environment(scratch: Path, timeout: float) -> _Environment:
    """Make an empty environment over the running one, in the place of any earlier one."""
    home = scratch / "environment"
    command = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(home)]
    _run(command, timeout, "venv")
    variables = {"base": str(home), "platbase": str(home)}
    library = Path(sysconfig.get_path("purelib", "venv", variables))
    library.mkdir(parents=True, exist_ok=True)
    # pip sees the container's packages through this, and leaves them alone: they
    # lie outside the environment that it works in.
    base = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (library / "container.pth").write_text("".join(f"{path}\n" for path in base), encoding="utf-8")
    return _Environment(home / "bin" / "python", str(library))


def _run(command: list[str], timeout: float, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise SubmissionError(
            "requirements-install",
            f"requirements.txt: installing {what} took longer than {timeout:.0f} s. "
            "Ask for packages that the container has.",
        ) from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = one_line((errors or done.stderr.splitlines() or ["no reason given"])[-1], 300)
        raise SubmissionError(
            "requirements-install",
            f"requirements.txt: {what} cannot be installed here ({reason}). "
            "Ask for packages that the container has, or ask the organisers to add them.",
        )
