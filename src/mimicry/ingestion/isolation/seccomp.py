"""A filter of system calls for the model's process (Linux, x86-64 and aarch64).

Landlock guards files, TCP, signals and abstract sockets. It has no hook for watching
folders, for limits of other processes, for modes and owners of files, for
other sockets, nor for what persists in the kernel. The filter takes these. It needs no
capability; it binds the process for good, and all that it starts.
"""

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from mimicry.ingestion.isolation.syscalls import ARCHITECTURES, Architecture, number
from mimicry.ingestion.processes import PR_SET_NO_NEW_PRIVS, prctl

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000
# Calls of the x32 variant have this bit set in their number.
_X32 = 0x40000000

_LOAD = 0x20
_EQUAL = 0x15
_AT_LEAST = 0x35
_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

# Answered with "not permitted": what reaches other processes, the machine or the kernel.
_REFUSED = (
    *("acct", "add_key", "adjtimex", "bpf", "chown", "chroot", "clock_adjtime", "clock_settime"),
    *("delete_module", "fanotify_init", "fanotify_mark", "fchown", "fchownat", "finit_module"),
    *("fsconfig", "fsmount", "fsopen", "fspick", "init_module", "inotify_add_watch"),
    *("inotify_init", "inotify_init1", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load"),
    *("keyctl", "lchown", "lookup_dcookie", "mount", "mount_setattr", "move_mount"),
    *("name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree", "open_tree_attr"),
    *("perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise", "process_mrelease"),
    *("process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "quotactl_fd", "reboot"),
    *("request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff"),
    *("swapon", "syslog", "tkill", "umount2", "unshare", "userfaultfd", "vhangup"),
)
# Answered as by a kernel without them, so that libraries take their other way: what cannot
# be inspected, and what would outlast the process.
_ABSENT = (
    *("clone3", "file_setattr", "io_uring_enter", "io_uring_register", "io_uring_setup"),
    *("memfd_secret", "mq_open", "mq_unlink", "msgget", "semget", "shmget"),
)
# Answered as by a file system that has no such attributes.
_UNSUPPORTED = (
    *("fremovexattr", "fsetxattr", "lremovexattr", "lsetxattr", "removexattr", "removexattrat"),
    *("setxattr", "setxattrat"),
)
# Answered with success, and nothing is done. Libraries set modes after copying a file and
# give up when they may not; that it has no effect harms none of them. Times are left alone:
# `Path.touch` takes a success for a file that is there.
_PRETENDED = ("chmod", "fchmod", "fchmodat", "fchmodat2")

_NEW_NAMESPACES = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_NEW_NAMESPACES |= 0x00020000
_SIGNALS_BY_FILE = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX
_TERMINAL_INPUT = (0x5412, 0x541C, 0x8901, 0x8902)  # TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP

_PRIORITY_OF_PROCESS = 0  # PRIO_PROCESS
_DISK_PRIORITY_OF_PROCESS = 1  # IOPRIO_WHO_PROCESS

NETWORK_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)


@dataclass(frozen=True)
class Condition:
    """When a call is answered by the filter, by one of its arguments (its low 32 bits).

    Attributes
    ----------
    argument : int
        Its position, from 0.
    values : tuple of int
        What it is compared with.
    kind : {"is", "is-not", "has-bits"}
        Answered when it is one of the values, when it is none of them, or when it has any
        bit of the first value.
    """

    argument: int
    values: tuple[int, ...]
    kind: str = "is"


@dataclass(frozen=True)
class Rule:
    """One system call, the error it is answered with, and when.

    Always without a condition, else where any of them holds.
    """

    call: str
    answer: int
    conditions: tuple[Condition, ...] = ()


def rules(supervisor: int, group: int, *, network: bool) -> tuple[Rule, ...]:
    """Return the rules for a model's process.

    Parameters
    ----------
    supervisor, group : int
        The supervisor's process and process group, which it must not signal.
    network : bool
        Whether it may have sockets other than those within the machine.
    """
    families = (socket.AF_UNIX, *(NETWORK_FAMILIES if network else ()))
    # As a machine without a network answers, which libraries know how to take.
    foreign = Condition(0, tuple(map(int, families)), "is-not")
    targets = Condition(0, (supervisor, -1, -group))
    # Named by 0, a process means itself. A thread may also name itself by its number, which
    # cannot be told from somebody else's: that has no effect, and is answered with success.
    others = Condition(0, (0,), "is-not")
    not_itself = Condition(1, (0,), "is-not")
    return (
        *(Rule(call, errno.EPERM) for call in _REFUSED),
        *(Rule(call, errno.ENOSYS) for call in _ABSENT),
        *(Rule(call, errno.EOPNOTSUPP) for call in _UNSUPPORTED),
        *(Rule(call, 0) for call in _PRETENDED),
        *(Rule(call, errno.ENETUNREACH, (foreign,)) for call in ("socket", "socketpair")),
        Rule("clone", errno.EPERM, (Condition(0, (_NEW_NAMESPACES,), "has-bits"),)),
        *(
            Rule(call, errno.EPERM, (others,))
            for call in ("prlimit64", "migrate_pages", "move_pages")
        ),
        *(
            Rule(call, errno.EPERM, (targets,))
            for call in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open")
        ),
        *(
            Rule(call, 0, (others,))
            for call in (
                *("sched_setaffinity", "sched_setattr", "sched_setparam"),
                "sched_setscheduler",
            )
        ),
        Rule("setpriority", 0, (Condition(0, (_PRIORITY_OF_PROCESS,), "is-not"), not_itself)),
        Rule("ioprio_set", 0, (Condition(0, (_DISK_PRIORITY_OF_PROCESS,), "is-not"), not_itself)),
        Rule("fcntl", errno.EPERM, (Condition(1, _SIGNALS_BY_FILE),)),
        Rule("ioctl", errno.EPERM, (Condition(1, _TERMINAL_INPUT),)),
    )


def assemble(chosen: Sequence[Rule], architecture: Architecture) -> bytes:
    """Translate rules into a program for the kernel (classic BPF, 8 bytes an instruction).

    Calls of another architecture end the process; those of the x32 variant are unknown.
    Calls that the architecture does not have are left out.
    """
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if architecture.name == "x86_64":
        program += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _ERRNO | errno.ENOSYS)]
    for rule in chosen:
        code = number(rule.call, architecture)
        if code is not None:
            body = _body(rule)
            program += [_step(_EQUAL, code, 0, len(body)), *body]
    program.append(_step(_RETURN, _ALLOW))
    return b"".join(program)


def install(chosen: Sequence[Rule]) -> None:
    """Bind this process, and all that it will start, to rules, for good.

    Raises
    ------
    OSError
        The kernel does not take it, or the processor is neither x86-64 nor aarch64.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise OSError(errno.ENOSYS, f"no filter for processors of kind {platform.machine()}")
    program = assemble(chosen, architecture)
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    given = Program(len(program) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(given))


def _body(rule: Rule) -> list[bytes]:
    """Return the steps that follow when the number is the rule's."""
    answer, allow = _step(_RETURN, _ERRNO | rule.answer), _step(_RETURN, _ALLOW)
    if not rule.conditions:
        return [answer]
    tests: list[bytes] = []
    for condition in rule.conditions:
        tests += _test(condition, answer)
    return [*tests, allow]


def _test(condition: Condition, answer: bytes) -> list[bytes]:
    """Return the steps that answer where a condition holds, and go on where it does not."""
    load = _step(_LOAD, _ARGUMENTS + 8 * condition.argument)
    values = condition.values
    if condition.kind == "has-bits":
        return [load, _step(_ANY_BIT, values[0], 0, 1), answer]
    if condition.kind == "is":
        # From the last comparison on, the answer is stepped over; from the others it is near.
        last = len(values) - 1
        compared = [
            _step(_EQUAL, value, last - at, 1 if at == last else 0)
            for at, value in enumerate(values)
        ]
        return [load, *compared, answer]
    compared = [_step(_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)]
    return [load, *compared, answer]


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value & 0xFFFFFFFF)
