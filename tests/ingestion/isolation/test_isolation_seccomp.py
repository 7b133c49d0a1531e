"""The filter of system calls: its program, interpreted here, and what the kernel makes of it."""

import errno
import platform
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimicry.ingestion.isolation.seccomp import NETWORK_FAMILIES, Rule, assemble, rules
from mimicry.ingestion.isolation.syscalls import ARCHITECTURES, NUMBERS, number

ALLOW, KILL, REFUSED = 0x7FFF0000, 0x80000000, 0x00050000
SUPERVISOR, GROUP = 4321, 4300
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

Arguments = Sequence[int]


def interpret(program: bytes, audit: int, call: int, arguments: Arguments = ()) -> int:
    """Run a filter as the kernel's documentation describes it; return its verdict."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", call & 0xFFFFFFFF, audit, 0, *(a % 2**64 for a in padded))
    steps = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            hit = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}  # fmt: skip # noqa: E501
            at += then if hit[code] else otherwise


def verdict(name: str, arguments: Arguments = (), *, network: bool = False) -> list[int]:
    """The verdict on a call of every architecture that has it."""
    found = []
    for architecture in ARCHITECTURES.values():
        program = assemble(rules(SUPERVISOR, GROUP, network=network), architecture)
        code = number(name, architecture)
        if code is not None:
            found.append(interpret(program, architecture.audit, code, arguments))
    assert found
    return found


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("inotify_add_watch", (), REFUSED | errno.EPERM),
        ("ptrace", (), REFUSED | errno.EPERM),
        ("io_uring_setup", (), REFUSED | errno.ENOSYS),
        ("clone3", (), REFUSED | errno.ENOSYS),
        ("shmget", (), REFUSED | errno.ENOSYS),
        ("setxattr", (), REFUSED | errno.EOPNOTSUPP),
        ("chmod", (), REFUSED),
        ("fchmodat", (), REFUSED),
        ("socket", (AF_UNIX,), ALLOW),
        ("socket", (AF_INET,), REFUSED | errno.ENETUNREACH),
        ("socket", (AF_INET6,), REFUSED | errno.ENETUNREACH),
        ("socket", (17,), REFUSED | errno.ENETUNREACH),
        ("socketpair", (AF_UNIX,), ALLOW),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (SUPERVISOR,), REFUSED | errno.EPERM),
        ("prlimit64", (1,), REFUSED | errno.EPERM),
        ("kill", (SUPERVISOR, 9), REFUSED | errno.EPERM),
        ("kill", (-1, 9), REFUSED | errno.EPERM),
        ("kill", (-GROUP, 9), REFUSED | errno.EPERM),
        ("kill", (0, 9), ALLOW),
        ("kill", (SUPERVISOR + 1, 9), ALLOW),
        ("tgkill", (SUPERVISOR, SUPERVISOR, 9), REFUSED | errno.EPERM),
        ("tgkill", (SUPERVISOR + 1, SUPERVISOR + 1, 9), ALLOW),
        ("pidfd_open", (SUPERVISOR,), REFUSED | errno.EPERM),
        ("pidfd_open", (77,), ALLOW),
        # Priorities of a process, group or user; only a process's own are changed.
        ("setpriority", (0, SUPERVISOR, 19), REFUSED),
        ("setpriority", (0, 1, 19), REFUSED),
        ("setpriority", (1, 0, 19), REFUSED),
        ("setpriority", (2, 0, 19), REFUSED),
        ("setpriority", (0, 0, 19), ALLOW),
        ("ioprio_set", (1, 0, 0), ALLOW),
        ("ioprio_set", (1, 7, 0), REFUSED),
        ("ioprio_set", (3, 0, 0), REFUSED),
        ("sched_setaffinity", (0,), ALLOW),
        ("sched_setaffinity", (SUPERVISOR,), REFUSED),
        ("sched_setscheduler", (SUPERVISOR + 1,), REFUSED),
        ("clone", (0x10000000,), REFUSED | errno.EPERM),
        ("clone", (0x3D0F00,), ALLOW),
        ("fcntl", (3, 8, SUPERVISOR), REFUSED | errno.EPERM),
        ("fcntl", (3, 10, 9), REFUSED | errno.EPERM),
        ("fcntl", (3, 4, 0), ALLOW),
        ("ioctl", (0, 0x5412), REFUSED | errno.EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
    ],
)
def test_verdicts(name: str, arguments: Arguments, expected: int) -> None:
    assert set(verdict(name, arguments)) == {expected}


@pytest.mark.parametrize("family", [int(family) for family in NETWORK_FAMILIES])
def test_the_network_is_there_where_it_is_allowed(family: int) -> None:
    assert set(verdict("socket", (family,), network=True)) == {ALLOW}
    assert set(verdict("socket", (17,), network=True)) == {REFUSED | errno.ENETUNREACH}


@given(
    call=st.integers(0, 600)
    | st.sampled_from(sorted({n for pair in NUMBERS.values() for n in pair if n is not None})),
    arguments=st.lists(
        st.sampled_from([0, 1, 2, SUPERVISOR, 2**32, 2**32 - 1]) | st.integers(0, 2**64 - 1),
        min_size=6,
        max_size=6,
    ),
    name=st.sampled_from(sorted(ARCHITECTURES)),
)
def test_what_no_rule_names_is_allowed_and_high_bits_do_not_fool_it(
    call: int, arguments: list[int], name: str
) -> None:
    architecture = ARCHITECTURES[name]
    chosen = rules(SUPERVISOR, GROUP, network=False)
    program = assemble(chosen, architecture)
    found = interpret(program, architecture.audit, call, arguments)
    rule = next((r for r in chosen if number(r.call, architecture) == call), None)
    assert found == expected_verdict(rule, arguments)


def expected_verdict(rule: Rule | None, arguments: Arguments) -> int:
    """What a rule says of a call, worked out without its program."""
    if rule is None:
        return ALLOW
    hits = [not rule.conditions]
    for condition in rule.conditions:
        value = arguments[condition.argument] % 2**32
        values = {one % 2**32 for one in condition.values}
        hits.append(
            {
                "is": value in values,
                "is-not": value not in values,
                "has-bits": bool(value & min(values)),
            }[condition.kind]
        )
    return REFUSED | rule.answer if any(hits) else ALLOW


def test_foreign_architectures_are_ended_and_x32_is_unknown() -> None:
    x86 = ARCHITECTURES["x86_64"]
    for architecture in ARCHITECTURES.values():
        program = assemble(rules(SUPERVISOR, GROUP, network=False), architecture)
        assert interpret(program, 0x40000003, 1) == KILL
        other = next(a for a in ARCHITECTURES.values() if a != architecture)
        assert interpret(program, other.audit, 1) == KILL
    program = assemble(rules(SUPERVISOR, GROUP, network=False), x86)
    assert interpret(program, x86.audit, 0x40000000 + 1) == REFUSED | errno.ENOSYS


def test_no_call_has_two_rules() -> None:
    names = [rule.call for rule in rules(SUPERVISOR, GROUP, network=False)]
    assert len(names) == len(set(names))
    assert set(names) == set(NUMBERS)


HEADERS = {
    0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    1: Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("column", sorted(HEADERS))
def test_numbers_are_the_kernels(column: int) -> None:
    if not HEADERS[column].is_file():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    text = HEADERS[column].read_text()
    pairs = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    kernel = {name: int(code) for name, code in pairs}
    checked = 0
    for name, codes in NUMBERS.items():
        if name in kernel:
            assert codes[column] == kernel[name], name
            checked += 1
        elif codes[column] is not None:
            # Newer than these headers, or gone from them: the number is nobody else's.
            assert codes[column] not in kernel.values(), name
    assert checked > 80


PROBE = """
import errno, os, resource, socket, sys
from mimicry.ingestion.isolation import seccomp
seccomp.install(seccomp.rules(os.getppid(), os.getpgid(os.getppid()), network=False))
import ctypes, pathlib, shutil, signal, tempfile
libc = ctypes.CDLL(None, use_errno=True)

def refused(action, code):
    try:
        action()
    except OSError as error:
        assert error.errno == code, error
    else:
        raise AssertionError("it was allowed")

for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        refused(lambda: socket.socket(family, kind), errno.ENETUNREACH)
refused(lambda: os.kill(os.getppid(), 0), errno.EPERM)
refused(lambda: os.kill(-1, 0), errno.EPERM)
refused(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU), errno.EPERM)
before = os.sched_getaffinity(os.getppid()), os.getpriority(os.PRIO_PROCESS, os.getppid())
os.sched_setaffinity(os.getppid(), {min(before[0])})
os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
os.setpriority(os.PRIO_USER, os.getuid(), 19)
os.setpriority(os.PRIO_PGRP, os.getpgid(os.getppid()), 19)
after = os.sched_getaffinity(os.getppid()), os.getpriority(os.PRIO_PROCESS, os.getppid())
assert before == after
os.sched_setaffinity(0, {min(before[0])})
assert os.sched_getaffinity(0) == {min(before[0])}
assert libc.inotify_init1(0) == -1 and ctypes.get_errno() == errno.EPERM
assert libc.ptrace(16, os.getppid(), 0, 0) == -1 and ctypes.get_errno() == errno.EPERM
assert libc.unshare(0x10000000) == -1 and ctypes.get_errno() == errno.EPERM
assert libc.shmget(0, 4096, 0o1600) == -1 and ctypes.get_errno() == errno.ENOSYS
with tempfile.TemporaryDirectory() as folder:
    first = os.path.join(folder, "first")
    open(first, "w").close()
    before = os.stat(first)
    os.chmod(first, 0o777)
    assert os.stat(first).st_mode == before.st_mode
    shutil.copy2(first, first + "2")
    pathlib.Path(folder, "new").touch()
    assert sorted(os.listdir(folder)) == ["first", "first2", "new"]
here, there = socket.socketpair()
import multiprocessing, subprocess, threading
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout == b"1\\n"
threading.Thread(target=int).start()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_the_kernel_takes_it() -> None:
    if platform.machine() not in ARCHITECTURES:
        pytest.skip(f"no filter for {platform.machine()}")
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    # The last line of the probe: a signal to itself arrives.
    assert done.returncode == -15, done.stderr
