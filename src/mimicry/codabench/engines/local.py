"""The plain engine: the same folders and command line, but no walls around the program."""

import sys

from mimicry.codabench.engines.jobs import (
    Job,
    Launch,
    below,
    split_command,
    this_python,
    worker_environment,
)
from mimicry.codabench.engines.watch import CONTROL

WARNING = (
    "warning: engine subprocess: the code runs as you, with your files and your network within "
    "its reach. Run only submissions that you trust, or install bubblewrap."
)


def launch_subprocess(job: Job) -> Launch:
    """Return how to run `job` as an ordinary process of this user.

    ``/app`` in the arguments becomes the job's own folder, since there is no mount.
    """
    arguments = this_python(
        [below(job.root, argument) for argument in split_command(job.command, job.kind)]
    )
    home, temporary = job.root / "home", job.root / "tmp"
    for folder in (home, temporary):
        folder.mkdir(exist_ok=True)
    keeper = (sys.executable, "-P", "-m", "mimicry.codabench.engines.keeper", CONTROL)
    return Launch(
        argv=(*keeper, *arguments),
        environment=worker_environment(job, home=str(home), temporary=str(temporary)),
        folder=job.app / "program",
        control=True,
    )
