"""Whether a competition grades submissions that have a command of their own."""

from mimicry.codabench.engines.jobs import read_metadata, split_command
from mimicry.codabench.model import Competition
from mimicry.errors import BundleError

FLAG = "--refuse-commands"


def refuses_commands(competition: Competition) -> bool:
    """Tell whether any scoring program of a competition is started with ``--refuse-commands``."""
    programs = {task.scoring_program for phase in competition.phases for task in phase.tasks}
    for program in programs:
        command = read_metadata(program).command
        try:
            if command is not None and FLAG in split_command(command, "scoring"):
                return True
        except BundleError:
            # No such program can be started.
            continue
    return False
