"""Floods of time, memory, disk and words; each bounded by itself, should nothing stop it."""

from hostile_case import add, model

SLOW = "time-limit-exceeded"


def flooding(
    name: str,
    does: str,
    expected: str = "finished",
    *,
    load: str = "",
    predict: str = "",
    head: str = "",
    **more: object,
) -> None:
    add(name, does, {"model.py": model(load=load, predict=predict, head=head)}, expected, **more)


flooding(
    "sleep-in-load", "never loads", SLOW, load="time.sleep(60)", limit=1.5, says=["had not loaded"]
)
flooding(
    "sleep-in-predict",
    "is slow from the fourth image on",
    SLOW,
    predict="if self.count > 3: time.sleep(60)",
    limit=1.5,
    says=["3 of 12"],
)
flooding("sleep-at-import", "sleeps at the top level", SLOW, head="time.sleep(60)", limit=1.5)
flooding("busy-loop", "computes for ever", SLOW, predict="while True: pass", limit=1.5)
flooding(
    "holds-interpreter",
    "holds Python's own lock while it sleeps",
    SLOW,
    predict="ctypes.PyDLL(None).sleep(60)",
    limit=1.5,
)
flooding(
    "endless-shape",
    "returns a score whose shape has no end",
    SLOW,
    head="""
import itertools
class Endless:
    shape = property(lambda self: itertools.repeat(1))
    item = lambda self: 1.0
""",
    predict="return Endless()",
    limit=1.5,
)
flooding(
    "catches-all",
    "catches whatever is raised and goes on",
    SLOW,
    predict="""
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
    """,
    limit=1.5,
)

flooding(
    "memory",
    "takes more memory than there is",
    "out-of-memory",
    load="""
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    taken = []
    while True:
        taken.append(b"\\1" * (16 << 20))
    """,
    memory=192 * 2**20,
    full=True,
)
flooding(
    "memory-claim",
    "asks for more memory than any machine has",
    "out-of-memory",
    predict="bytearray(1 << 60)",
)

flooding(
    "log-flood",
    "prints a hundred megabytes",
    load="""
    for _ in range(1600):
        os.write(1, b"\\x1b[31mflood\\n" * 5461)
    """,
)
flooding(
    "log-line",
    "prints one line of ten megabytes, NULs and escapes",
    load="""
    os.write(2, b"\\0\\x1b]0;owned\\x07\\xff\\xe2\\x80\\xae" * (1 << 20))
    """,
)
flooding(
    "log-forged",
    "prints what the programs print",
    load="""
    print("finished: 12 predictions in 0.1 s\\n[no-such-code]\\n::error::owned", flush=True)
    print("::error::owned", file=sys.stderr, flush=True)
    """,
)

flooding(
    "disk-sparse",
    "makes files of terabytes that hold nothing",
    load="""
    import tempfile
    for place in (tempfile.gettempdir(), HERE):
        try:
            with open(os.path.join(place, "sparse"), "wb") as file:
                file.truncate(1 << 42)
        except OSError as error:
            print(error)
    """,
)
flooding(
    "disk-files",
    "leaves thousands of files and folders that nobody may enter",
    load="""
    import tempfile
    for place in (tempfile.gettempdir(), HERE):
        for number in range(1000):
            os.close(os.open(os.path.join(place, str(number)), os.O_CREAT | os.O_WRONLY, 0))
        os.mkdir(os.path.join(place, "locked"), 0)
        os.chmod(HERE, 0)
    """,
)
flooding(
    "disk-deep",
    "digs folders deeper than paths are long",
    load="""
    import tempfile
    for place in (tempfile.gettempdir(), HERE):
        os.chdir(place)
        for number in range(600):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        os.symlink("/", "root")
    os.chdir("/tmp" if os.access("/tmp", os.X_OK) else HERE)
    """,
)
flooding(
    "disk-names",
    "files with names that no terminal should show",
    load="""
    import tempfile
    for place in (tempfile.gettempdir(), HERE):
        for name in (b"\\x1b[2J", b"\\xff\\xfe", b"-rf", b"a\\nb", "\\u202etxt.exe".encode()):
            open(os.path.join(os.fsencode(place), name), "w").close()
    """,
)
flooding(
    "shared-memory",
    "fills the shared memory and leaves files there",
    load="""
    try:
        with open("/dev/shm/" + MARK, "wb") as file:
            for _ in range(24):
                file.write(bytes(1 << 20))
    except OSError as error:
        print(error)
    from multiprocessing import shared_memory
    try:
        self.block = shared_memory.SharedMemory(MARK + "-block", create=True, size=1 << 20)
    except OSError as error:
        print(error)
    """,
)
flooding(
    "disk-fill",
    "fills the disk with many files",
    "disk-limit",
    load="""
    import tempfile
    for number in range(4):
        with open(os.path.join(tempfile.gettempdir(), str(number)), "wb") as file:
            for _ in range(56):
                file.write(bytes(1 << 20))
            os.fsync(file.fileno())
    time.sleep(30)
    """,
    limit=25,
)
flooding(
    "disk-file",
    "fills the disk with one file",
    "load-failed",
    load="""
    with open(os.path.join(HERE, "huge"), "wb") as file:
        for _ in range(400):
            file.write(bytes(1 << 20))
    """,
    says=["File too large"],
)
