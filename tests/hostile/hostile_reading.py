"""Attempts to learn what no model may know: names, order, labels, secrets of the machine."""

from hostile_case import add, model

SEARCH = r'''
import gc, inspect, pathlib, re
WORD = re.compile(rb"canary-(?:image|label|environment|home)-[0-9a-f]{12}")


def seen(data):
    """Canaries in some bytes or text."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    return sorted(set(WORD.findall(data)))


def read(path, most=1 << 20):
    with open(path, "rb") as file:
        return file.read(most)


def others():
    return [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
'''

add(
    "names-in-process",
    "searches its own process for the images' names",
    {
        "model.py": model(
            head=SEARCH,
            predict="""
    if self.count == 3:
        attack("arguments", lambda: seen(repr((sys.argv, sys.orig_argv, os.environ))))
        for name in ("cmdline", "environ", "maps", "mountinfo"):
            attack(name, lambda: seen(read(f"/proc/self/{name}")))
        attack("descriptors", lambda: [
            t for t in (os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd"))
            if not t.startswith(("pipe:", "socket:", "/dev/null", "/proc/", "/memfd:"))])
        attack("objects", lambda: seen(repr([o for o in gc.get_objects()
            if isinstance(o, (str, bytes, tuple, list, dict)) and len(repr(o)) < 10000])))
        frame, found = sys._getframe(), []
        while frame is not None:
            found.append(repr({k: v for k, v in frame.f_locals.items() if k != "WORD"})[:100000])
            frame = frame.f_back
        attack("frames", lambda: seen("".join(found)))
    """,
        )
    },
    logs=["NOTHING frames"],
    full=True,
)

add(
    "names-in-image",
    "searches the image object for a name",
    {
        "model.py": model(
            head=SEARCH,
            predict="""
    for name in ("filename", "fp", "info", "format", "_exif", "app", "applist", "tile"):
        attack(name, lambda: getattr(image, name, None) or None)
    attack("exif", lambda: dict(image.getexif()))
    attack("repr", lambda: seen(repr(vars(image))))
    """,
        )
    },
    logs=["NOTHING exif"],
)

add(
    "other-processes",
    "reads what other processes hold",
    {
        "model.py": model(
            head=SEARCH,
            load="""
    for name in ("environ", "maps", "smaps", "auxv", "stack", "mem", "io", "syscall"):
        attack(name, lambda: [p for p in others()
            for data in [attempt(lambda: read(f"/proc/{p}/{name}", 4096))] if data])
    for name in ("cwd", "root", "exe"):
        attack(name, lambda: [p for p in others()
            if attempt(lambda: os.listdir(f"/proc/{p}/{name}/"))
            or attempt(lambda: os.readlink(f"/proc/{p}/{name}"))])
    attack("descriptors", lambda: [os.readlink(f"/proc/{p}/fd/{n}") for p in others()
        for n in attempt(lambda: os.listdir(f"/proc/{p}/fd")) or []])
    """,
            tail="""
def attempt(action):
    try:
        return action()
    except OSError:
        return None
""",
        )
    },
    logs=["mem"],
)

add(
    "list-mounts",
    "lists and reads every folder of the run",
    {
        "model.py": model(
            head=SEARCH,
            load="""
    for place in PLACES:
        for name in ("input_data", "output", "program", "data", "shared", "input", "input/ref",
                     "input/res", "ingestion_program", "../app/input_data"):
            path = os.path.join(place, name)
            attack(f"list {name}", lambda: os.listdir(path))
            attack(f"walk {name}", lambda: [n for _, _, ns in os.walk(path) for n in ns])
            attack(f"scan {name}", lambda: [e.name for e in os.scandir(os.path.join(path, "."))])
    attack("record", lambda: read(os.path.join(PLACES[1], "output", "ingestion.json")))
    attack("allowed", lambda: read(os.path.join(PLACES[1], "program", "allowed_packages.txt")))
    """,
        )
    },
    logs=["list output"],
)

add(
    "guessed-name",
    "asks for an image whose name it knows",
    {
        "model.py": model(
            load="""
    for place in PLACES:
        path = os.path.join(place, "input_data", "guessable.jpg")
        for what, action in (("stat", os.stat), ("open", open), ("link", os.readlink)):
            attack(what, lambda: action(path))
        attack("access", lambda: os.access(path, 0))
        attack("enter", lambda: os.chdir(os.path.dirname(path)) or os.stat("guessable.jpg"))
    os.chdir(HERE)
    """
        )
    },
    logs=["stat"],
)

add(
    "inotify",
    "watches the input folder while it is read",
    {
        "model.py": model(
            head="""
watch = -1
""",
            load="""
    global watch
    watch = libc.inotify_init1(0o4000)
    for place in PLACES:
        for name in ("input_data", "output", "program", "."):
            if watch >= 0:
                libc.inotify_add_watch(watch, os.path.join(place, name).encode(), 0xFFF)
    print("TRIED inotify", flush=True)
    """,
            predict="""
    if watch >= 0:
        attack("events", lambda: os.read(watch, 65536))
    """,
        )
    },
    logs=["TRIED inotify"],
)

add(
    "watch-devices",
    "other ways of watching or opening files",
    {
        "model.py": model(
            load="""
    attack("fanotify_init", lambda: call(300, 0, 0) + 1)
    attack("name_to_handle_at", lambda: call(303, -100, ctypes.c_char_p(b"/app"),
        (ctypes.c_uint * 40)(128), (ctypes.c_int * 2)(), 0) + 1)
    attack("open_by_handle_at", lambda: call(304, -100, (ctypes.c_uint * 40)(8, 1), 0) + 1)
    attack("perf_event_open", lambda: call(298, (ctypes.c_uint * 32)(1, 112), 0, -1, -1, 0) + 1)
    attack("bpf", lambda: call(321, 0, (ctypes.c_uint * 32)(2, 4, 4, 1), 72) + 1)
    attack("userfaultfd", lambda: call(323, 0) + 1)
    attack("io_uring", lambda: call(425, 8, (ctypes.c_uint * 64)()) + 1)
    attack("kmsg", lambda: open("/dev/kmsg", "rb").read(10))
    attack("mem", lambda: open("/dev/mem", "rb").read(10))
    attack("disks", lambda: [p for p in ("/dev/vda", "/dev/sda", "/dev/nvme0n1")
        if os.path.exists(p) and open(p, "rb").read(10)])
    """
        )
    },
    logs=["bpf"],
)

add(
    "callers-secrets",
    "looks for the caller's home and environment",
    {
        "model.py": model(
            head=SEARCH,
            load="""
    import glob
    for up in range(1, 9):
        top = HERE + "/.." * up
        attack(f"secret {up}", lambda: [
            found for p in glob.glob(top + "/home/*") for found in seen(read(p))])
    attack("environment", lambda: [n for n in os.environ if "SECRET" in n or "TOKEN" in n])
    for pid in (os.getppid(), 1):
        attack(f"environment of another", lambda: read(f"/proc/{pid}/environ"))
    for path in ("/root/.ssh", "/root/.docker/config.json", "/root/.aws",
                 "/root/.netrc", "/root/.cache/huggingface/token", "/root/.bash_history"):
        attack("home " + path, lambda: os.listdir(path) if os.path.isdir(path) else read(path))
    """,
        )
    },
    logs=["environment"],
)

add(
    "labels",
    "looks for the reference data",
    {
        "model.py": model(
            head=SEARCH,
            load="""
    import glob
    for up in range(1, 9):
        for where in ("reference_data/*", "*/reference_data/*", "*/*/reference_data/*",
                      "input/ref/*", "scoring/app/input/ref/*"):
            top = HERE + "/.." * up
            attack(f"labels {up} {where}", lambda: [
                os.path.basename(p) for p in glob.glob(f"{top}/{where}") if read(p, 9)])
    """,
        )
    },
    logs=["labels"],
)

add(
    "keeps-images",
    "keeps every image and compares them in the end",
    {
        "model.py": model(
            head="""
kept = []
""",
            predict="""
    kept.append((image, image.tobytes()))
    if self.count == 12:
        attack("another image", lambda: [n for n, (i, d) in enumerate(kept) if i.tobytes() != d])
    """,
        )
    },
    logs=["NOTHING another image"],
)

add(
    "changes-images",
    "draws on, closes and empties the images it gets",
    {
        "model.py": model(
            predict="""
    score = honest(image)
    image.putpixel((0, 0), (1, 2, 3))
    image.paste((9, 9, 9), (0, 0, 48, 32))
    image.readonly = 0
    image.thumbnail((2, 2))
    if self.count % 2:
        image.close()
    else:
        image.__dict__.clear()
    return score
    """
        )
    },
)

add(
    "writes-arena",
    "looks for a way to change the shared pixels",
    {
        "model.py": model(
            load="""
    try:
        lines = open("/proc/self/maps").read().splitlines()
    except OSError:
        lines = []
    for line in [one for one in lines if "arena" in one]:
        span, rights = line.split()[:2]
        attack("rights", lambda: "w" in rights)
        first, last = (int(n, 16) for n in span.split("-"))
        attack("mprotect", lambda: libc.mprotect(ctypes.c_void_p(first),
            ctypes.c_size_t(last - first), 3) == 0)
        attack("map_files", lambda: open(f"/proc/self/map_files/{span}", "r+b"))
    print("SEARCHED", len(lines), flush=True)
    """
        )
    },
    logs=["SEARCHED"],
)

add(
    "writes-everywhere",
    "tries to leave a file in every folder that it knows",
    {
        "model.py": model(
            load="""
    import site, sysconfig, tempfile
    home = tempfile.gettempdir()
    folders = ["/", "/etc", "/root", "/home", "/usr/lib", "/opt", "/srv", "/var/lib", "/run",
               "/sys", "/proc", "/dev", "/app", sysconfig.get_path("purelib"), sys.prefix,
               os.path.dirname(os.__file__), os.path.dirname(HERE),
               *site.getsitepackages()]
    folders += [os.path.join(p, n) for p in PLACES for n in (
        "program", "input_data", "output", "data", "shared", "input", "program/mimicry")]
    if os.getppid() != 1:
        folders += ["/tmp", "/var/tmp", "/run/lock", os.path.dirname(home)]
    for folder in folders:
        path = os.path.join(folder, MARK)
        attack(f"file in {folder}", lambda: open(path, "w") and path)
        attack(f"folder in {folder}", lambda: os.mkdir(path + "d") or path)
        attack(f"link in {folder}", lambda: os.symlink("/", path + "l") or path)
    for path in (os.path.join(PLACES[1], "program", "ingestion.py"), "/etc/hosts", os.__file__,
                 os.path.join(PLACES[1], "output", "ingestion.json")):
        attack(f"change {path}", lambda: open(path, "r+b") and path)
        attack(f"remove {path}", lambda: os.unlink(path) or path)
        attack(f"truncate {path}", lambda: os.truncate(path, 0) or path)
        attack(f"move {path}", lambda: os.rename(path, os.path.join(HERE, "x")) or path)
        attack(f"hard link {path}", lambda: os.link(path, os.path.join(HERE, "y")) or path)
    for folder in ("input_data", "output", "program", "ingested_program"):
        place = os.path.join(PLACES[1], folder)
        attack(f"swap {folder}", lambda: os.rename(place, place + "-old") or place)
        attack(f"replace {folder}", lambda: os.rmdir(place) or place)
    """
        )
    },
    full=True,
    logs=["file in /etc"],
)
