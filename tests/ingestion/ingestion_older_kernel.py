"""Runs a command as if the kernel were an older one: ``python FILE WITHOUT COMMAND...``.

WITHOUT names what is missing, with commas: ``landlock``, ``seccomp``.
"""

import errno
import os
import sys
from typing import cast

from mimicry.ingestion.isolation import seccomp, syscalls

PR_SET_SECCOMP = 22


def main(without: str, command: list[str]) -> None:
    numbers = cast("dict[str, tuple[int | None, int | None]]", syscalls.NUMBERS)
    numbers |= {"landlock_create_ruleset": (444, 444), "prctl": (157, 167)}
    rules = {
        "landlock": seccomp.Rule("landlock_create_ruleset", errno.ENOSYS),
        "seccomp": seccomp.Rule("prctl", errno.EINVAL, (seccomp.Condition(0, (PR_SET_SECCOMP,)),)),
    }
    seccomp.install([rules[name] for name in without.split(",")])
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
