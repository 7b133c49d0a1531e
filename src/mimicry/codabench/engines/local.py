"""The plain engine: the same folders and command line, but no walls around the program."""

import sys
from pathlib import Path

from mimicry.codabench.engines.jobs import (
    Job,
    JobResult,
    Launch,
    below,
    split_command,
    this_python,
    worker_environment,
)
from mimicry.codabench.engines.watch import CONTROL, watch
from mimicry.codabench.scratch import scratch_folder

WARNING = (
    "warning: engine subprocess: the code runs as you. Only what the ingestion program takes from "
    "a model keeps it from your files and your network, and a submission's own command has both. "
    "Run only submissions that you trust, or install bubblewrap."
)


def run_subprocess(job: Job) -> JobResult:
    """Run `job` as an ordinary process of this user.

    Its temporary folder has a short name of its own: sockets that processes of a model speak
    through lie in there, and the system takes no more than 107 characters for those.
    """
    with scratch_folder() as temporary:
        return watch(launch_subprocess(job, temporary), job)


def launch_subprocess(job: Job, temporary: Path) -> Launch:
    """Return how to run `job`, with `temporary` for its temporary files.

    ``/app`` in the arguments becomes the job's own folder, since there is no mount.
    """
    arguments = this_python(
        [below(job.root, argument) for argument in split_command(job.command, job.kind)]
    )
    home = job.root / "home"
    home.mkdir(exist_ok=True)
    keeper = (sys.executable, "-P", "-m", "mimicry.codabench.engines.keeper", CONTROL)
    return Launch(
        argv=(*keeper, *arguments),
        environment=worker_environment(job, home=str(home), temporary=str(temporary)),
        folder=job.app / "program",
        control=True,
    )
