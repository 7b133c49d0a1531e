"""Attempts on other processes, and processes that will not end."""

from hostile_case import add, model

add(
    "kill-supervisor",
    "sends the supervisor every signal that ends or stops",
    {
        "model.py": model(
            load="""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGKILL):
        # Process 1 of a container gets none that it does not ask for, and nobody is told.
        attack(number.name, lambda: os.kill(os.getppid(), number) or os.getppid() != 1)
    """
        )
    },
    limit=10,
    logs=["SIGKILL"],
    full=True,
)

# In a name space of its own everybody may be killed; elsewhere they get a signal that
# is ignored unless somebody listens, as the test does.
add(
    "kill-everybody",
    "signals every process that it may",
    {
        "model.py": model(
            predict="""
    if self.count == 5:
        number = signal.SIGKILL if os.getppid() == 1 else signal.SIGURG
        try:
            os.kill(-1, number)
        except OSError as error:
            print(error)
        print("SIGNALLED", flush=True)
    """
        )
    },
    limit=10,
    logs=["SIGNALLED"],
)

add(
    "signal-ways",
    "other ways of signalling the supervisor",
    {
        "model.py": model(
            load="""
    parent = os.getppid()
    attack("pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(parent), signal.SIGURG)
        or parent != 1)
    attack("tgkill", lambda: call(234, parent, parent, int(signal.SIGURG)) == 0 and parent != 1)
    attack("rt_sigqueueinfo", lambda: call(129, parent, int(signal.SIGURG),
        (ctypes.c_int * 32)(23, 0, -1)) == 0 and parent != 1)
    import fcntl
    here, there = os.pipe()
    attack("owner", lambda: fcntl.fcntl(here, fcntl.F_SETOWN, parent) == 0 and parent != 1)
    attack("signal", lambda: fcntl.fcntl(here, fcntl.F_SETSIG, signal.SIGTERM))
    attack("sigio", lambda: fcntl.fcntl(here, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK))
    os.write(there, b"x")
    """
        )
    },
    limit=10,
    logs=["sigio"],
)

add(
    "debug-supervisor",
    "traces, reads and writes the supervisor",
    {
        "model.py": model(
            load="""
    parent = os.getppid()
    block = (ctypes.c_ulong * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    attack("ptrace", lambda: call(101, 0x4206, parent, 0, 0) == 0)
    attack("process_vm_readv", lambda: call(310, parent, block, 1, block, 1, 0))
    attack("process_vm_writev", lambda: call(311, parent, block, 1, block, 1, 0))
    attack("pidfd_getfd", lambda: [n for n in range(12)
        if call(438, os.pidfd_open(parent), n, 0) >= 0])
    attack("memory", lambda: open(f"/proc/{parent}/mem", "r+b"))
    attack("kcmp", lambda: call(312, os.getpid(), parent, 2, 0, 0) + 9)
    attack("process_madvise", lambda: call(440, os.pidfd_open(parent), block, 1, 20, 0))
    attack("move_pages", lambda: call(279, parent, 0, 0, 0, 0, 0) + 1)
    """
        )
    },
    limit=10,
    logs=["ptrace"],
)

add(
    "limit-supervisor",
    "takes the supervisor's time, files and memory away",
    {
        "model.py": model(
            load="""
    parent = os.getppid()
    for name, number in (("files", 7), ("size", 1), ("time", 0)):
        attack(name, lambda: call(302, parent, number, (ctypes.c_ulong * 2)(0, 0), 0) + 1)
    attack("oom", lambda: open(f"/proc/{parent}/oom_score_adj", "w").write("1000"))
    attack("own oom", lambda: open("/proc/self/oom_score_adj", "w").write("-1000"))
    attack("autogroup", lambda: open(f"/proc/{parent}/autogroup", "w").write("19"))
    """
        )
    },
    limit=10,
    logs=["time"],
)

add(
    "name-spaces",
    "asks the kernel for name spaces, mounts and capabilities",
    {
        "model.py": model(
            load="""
    for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("pid", 0x20000000),
                       ("network", 0x40000000), ("cgroup", 0x2000000)):
        attack(name, lambda: call(272, flag) + 1)
    attack("setns", lambda: call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0) + 1)
    attack("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0) + 1)
    attack("move_mount", lambda: call(428, -100, b"/", 1) + 1)
    attack("chroot", lambda: call(161, b"/tmp") + 1)
    attack("clock", lambda: call(227, 0, (ctypes.c_long * 2)(0, 0)) + 1)
    attack("module", lambda: call(175, b"x", 1, b"") + 1)
    attack("reboot", lambda: call(169, 0, 0, 0, 0) + 1)
    attack("swap", lambda: call(168, b"/tmp/x") + 1)
    attack("keys", lambda: call(250, 0, -3, 1))
    attack("setuid", lambda: os.setuid(65534) or (os.getuid() == 65534 and os.setuid(0) is None))
    """
        )
    },
    limit=10,
    logs=["mount"],
)

add(
    "shared-kernel-objects",
    "talks through System V memory, queues and abstract sockets",
    {
        "model.py": model(
            load="""
    attack("shmget", lambda: call(29, 0x4D494D, 4096, 0o1666) + 1)
    attack("semget", lambda: call(64, 0x4D494D, 1, 0o1666) + 1)
    attack("msgget", lambda: call(68, 0x4D494D, 0o1666) + 1)
    attack("mq_open", lambda: call(240, b"mimicry", 0o102, 0o600, 0) + 1)
    """
        )
    },
    logs=["mq_open"],
)

add(
    "daemons",
    "leaves daemons that fork anew all the time",
    {
        "model.py": model(
            load="""
    libc.prctl(36, 1, 0, 0, 0)
    for number in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            for one in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
                signal.signal(one, signal.SIG_IGN)
            libc.prctl(1, 0, 0, 0, 0)
            until = time.monotonic() + 60
            while time.monotonic() < until:
                if os.fork():
                    os._exit(0)
                os.setsid()
                time.sleep(0.004)
            os._exit(0)
    """
        )
    },
    full=True,
)

add(
    "fork-bomb",
    "starts processes until it may not",
    {
        "model.py": model(
            load="""
    started = 0
    while started < 150:
        try:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
        except OSError:
            break
        started += 1
    print("STARTED", started, flush=True)
    """
        )
    },
    pids=60,
    logs=["STARTED"],
)

add(
    "thread-bomb",
    "starts threads that never end",
    {
        "model.py": model(
            load="""
    threading.stack_size(65536)
    for number in range(150):
        try:
            threading.Thread(target=time.sleep, args=(60,)).start()
        except RuntimeError:
            break
    print("STARTED", threading.active_count(), flush=True)
    """
        )
    },
    pids=60,
    logs=["STARTED"],
)

add(
    "exec-daemon",
    "leaves another program running",
    {
        "model.py": model(
            load="""
    import subprocess
    subprocess.Popen(["sleep", "86411." + str(int(MARK[4:], 16))], start_new_session=True)
    """
        )
    },
)

add(
    "holds-channel",
    "ends while a child of it keeps the channel open",
    {
        "model.py": model(
            load="""
    if os.fork():
        os._exit(0)
    time.sleep(20)
    """
        )
    },
    "model-exit",
    limit=15,
)

add(
    "stops-itself",
    "stops itself for ever",
    {"model.py": model(predict="if self.count == 4: os.kill(os.getpid(), signal.SIGSTOP)")},
    "time-limit-exceeded",
    limit=1.5,
    says=["3 of 12"],
)

add(
    "deaf",
    "ignores every signal and blocks them all",
    {
        "model.py": model(
            load="""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.Signals)
    threading.Thread(target=time.sleep, args=(60,)).start()
    """
        )
    },
)
