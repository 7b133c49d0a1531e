"""A small process between `mimicry run` and a program, which leaves no orphans.

``python -P -m mimicry.codabench.engines.keeper DESCRIPTOR COMMAND...`` runs the
command and exits with its code (128 + N for signal N). It inherits whatever the
command leaves running and ends it. When the descriptor is closed on the other side,
also because the caller was killed, it ends the command at once.
"""

import os
import select
import subprocess
import sys

from mimicry.ingestion.processes import become_subreaper, end_descendants

NOT_FOUND = 127


def keep(control: int, command: list[str]) -> int:
    """Run `command` until it ends or `control` is closed; return its exit code."""
    become_subreaper()
    os.set_inheritable(control, False)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror or error}", file=sys.stderr)
        return NOT_FOUND
    ending = os.pidfd_open(child.pid)
    try:
        ready, _, _ = select.select([ending, control], [], [])
        if ending not in ready:
            child.kill()
        code = child.wait()
    finally:
        os.close(ending)
        end_descendants()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), sys.argv[2:]))
