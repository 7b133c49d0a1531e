"""A small program that gives up what a model must not have, then becomes its process.

``python -P -S -m mimicry.ingestion.isolation.confine DESCRIPTOR PLAN`` applies a plan (JSON,
see `Plan`) to itself, tells over the descriptor what took effect, waits for one byte that
says to go on, and executes the plan's command. Nothing of a submission has run by then,
so that its word can be believed.
"""

import ctypes
import json
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mimicry.ingestion.isolation import landlock, seccomp
from mimicry.ingestion.processes import die_with_parent

GO = b"g"
LONGEST_REPORT = 64 * 1024
# What the kernel's own words about a refusal may take.
_LONGEST_REASON = 200
_CAPABILITY_VERSION_3 = 0x20080522

CAPABILITIES = "capabilities"
FILES = "files"
SIGNALS = "signals"
NETWORK = "network"
SYSTEM_CALLS = "system-calls"
LIMITS = "limits"
MEMORY = "out-of-memory-first"


@dataclass(frozen=True)
class Plan:
    """What a model's process may have.

    Attributes
    ----------
    command : list of str
        What to execute in the end, and its arguments.
    environment : dict
        All of its environment.
    readable, writable, devices : list of str
        As `landlock.restrict` takes them.
    unprivileged : list of str
        Readable, too, if all capabilities could be given up.
    network : bool
        Whether it may use the network.
    supervisor, group : int
        The supervisor's process and process group.
    limits : dict
        From the name of a resource limit (as in `resource`) to its value; never above
        what is in force.
    """

    command: list[str]
    environment: dict[str, str]
    readable: list[str]
    unprivileged: list[str]
    writable: list[str]
    devices: list[str]
    network: bool
    supervisor: int
    group: int
    limits: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text that the program takes as its second argument."""
        return json.dumps(asdict(self))


def confine(plan: Plan) -> dict[str, str | None]:
    """Apply a plan to this process.

    Returns
    -------
    dict
        From each protection to None where it took effect, else to why it did not.
    """
    found: dict[str, str | None] = {}

    def attempt(names: tuple[str, ...], action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:
            reason = f"{getattr(error, 'strerror', None) or error}"[:_LONGEST_REASON]
            found.update(dict.fromkeys(names, reason))
        else:
            found.update(dict.fromkeys(names))

    attempt((CAPABILITIES,), _give_up_capabilities)
    attempt((MEMORY,), lambda: Path("/proc/self/oom_score_adj").write_text("1000"))
    attempt((LIMITS,), lambda: _set_limits(plan.limits))
    shown = [] if found[CAPABILITIES] else plan.unprivileged
    attempt((FILES, SIGNALS), lambda: _restrict(plan, shown))
    since = landlock.version()
    if found[SIGNALS] is None and since < landlock.SIGNALS_SINCE:
        found[SIGNALS] = f"Landlock has version {since} here, {landlock.SIGNALS_SINCE} is needed"
    rules = seccomp.rules(plan.supervisor, plan.group, network=plan.network)
    attempt((SYSTEM_CALLS,), lambda: seccomp.install(rules))
    # Landlock closes TCP alone; the filter closes all kinds.
    found[NETWORK] = "it is allowed" if plan.network else found[SYSTEM_CALLS]
    return found


def _restrict(plan: Plan, shown: list[str]) -> int:
    readable = [*plan.readable, *shown]
    return landlock.restrict(readable, plan.writable, plan.devices, network=plan.network)


def _give_up_capabilities() -> None:
    """Give up all rights of root but those of a file's owner; `exec` gives none back after."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    # Two words each of effective, permitted and inheritable capabilities: none.
    if libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _set_limits(limits: Mapping[str, int]) -> None:
    for name, wanted in limits.items():
        kind = getattr(resource, name)
        _, most = resource.getrlimit(kind)
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (value, value))


def main(arguments: list[str]) -> int:
    """Apply the plan, report, and execute the command when told to."""
    die_with_parent()
    descriptor, text = arguments
    plan = Plan(**json.loads(text))
    with socket.socket(fileno=int(descriptor)) as control:
        found = confine(plan)
        control.sendall(json.dumps(found).encode())
        control.shutdown(socket.SHUT_WR)
        if control.recv(1) != GO:
            return 1
    os.execve(plan.command[0], plan.command, plan.environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
