"""Forged messages, changed libraries and broken descriptors: all between model and supervisor."""

from hostile_case import add, model

CHANNEL = '''
import stat


def channel():
    """Find the descriptor that leads to the supervisor."""
    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                return number
        except OSError:
            pass
    raise OSError("no channel")
'''


def forging(name: str, does: str, load: str, expected: str, **more: object) -> None:
    add(name, does, {"model.py": model(head=CHANNEL, load=load)}, expected, **more)


INTERFERED = "model-interfered"
forging(
    "forged-scores",
    "sends scores before it has an image",
    'os.write(channel(), b"S" + struct.pack("<d", 1.0))',
    INTERFERED,
    full=True,
)
forging(
    "forged-ready",
    "says twice that it is ready",
    'os.write(channel(), b"R" + bytes(4))',
    INTERFERED,
)
forging(
    "forged-batch",
    "asks for batches of four thousand million",
    'os.write(channel(), b"R" + bytes([255] * 4))',
    INTERFERED,
)
forging(
    "forged-garbage",
    "sends bytes that are no message",
    "os.write(channel(), bytes(range(256)))",
    INTERFERED,
)
forging(
    "forged-huge",
    "sends the longest message that goes through",
    """
    for size in (1 << 20, 1 << 17, 1 << 15, 1 << 14):
        try:
            os.write(channel(), b"S" * size)
            break
        except OSError:
            pass
    """,
    INTERFERED,
)
forging(
    "forged-end",
    "sends an empty message, as if all were done",
    'socket.socket(fileno=os.dup(channel())).send(b"")\ntime.sleep(30)',
    INTERFERED,
    limit=15,
)
forging(
    "forged-fault",
    "reports a fault that does not exist",
    'os.write(channel(), b"Efinished\\0" + b"0\\0all is well")',
    INTERFERED,
)
forging(
    "forged-position",
    "reports a fault at an image far away",
    'os.write(channel(), b"Epredict-failed\\0" + b"999999\\0x")',
    "predict-failed",
    says=["an image"],
)
forging(
    "descriptors-passed",
    "sends descriptors over the channel",
    """
    import array
    side = socket.socket(fileno=os.dup(channel()))
    side.sendmsg([b"?"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 100))])
    """,
    INTERFERED,
)
forging(
    "channel-shut",
    "closes the channel and runs on",
    "socket.socket(fileno=os.dup(channel())).shutdown(2)\ntime.sleep(30)",
    INTERFERED,
    limit=15,
)
forging(
    "channel-replaced",
    "puts something else in the channel's place",
    'os.dup2(os.open("/dev/null", os.O_RDWR), channel())',
    "model-exit",
)
forging(
    "channel-flood",
    "sends messages without end and reads none",
    'while True: os.write(channel(), b"S" + bytes(8000))',
    INTERFERED,
    limit=15,
)
forging("descriptors-closed", "closes every descriptor", "os.closerange(0, 4096)", "model-exit")
forging("output-closed", "closes its output alone", "os.close(1)\nos.close(2)", "finished")
forging(
    "descriptor-flood",
    "opens files until it may not",
    """
    self.files = []
    try:
        while len(self.files) < 20000:
            self.files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        print("OPENED", len(self.files), flush=True)
    """,
    "finished",
)

add(
    "patched-library",
    "replaces functions of the standard library and Pillow",
    {
        "model.py": model(
            head="""
import builtins, csv, json, math, PIL.Image, random, time as clock, traceback
bad = lambda *a, **k: os._exit(9)
""",
            load="""
    for place, names in ((json, ("dumps", "loads")), (csv, ("writer",)), (math, ("isfinite",)),
                         (clock, ("monotonic",)), (traceback, ("print_exception",)),
                         (random, ("shuffle",)), (os, ("kill", "read", "replace")),
                         (builtins, ("open", "repr", "sorted"))):
        for name in names:
            setattr(place, name, bad)
    PIL.Image.open = PIL.Image.frombytes = bad
    """,
        )
    },
    full=True,
)
add(
    "patched-struct",
    "replaces what writes the answers",
    {"model.py": model(load="struct.pack = lambda *a: b''")},
    INTERFERED,
)
add(
    "patched-send",
    "replaces the channel's own class",
    {
        "model.py": model(
            head="import __main__",
            predict="""
    frame = sys._getframe()
    while "channel" not in frame.f_locals:
        frame = frame.f_back
    real = frame.f_locals["channel"]
    real.send(b"S" + struct.pack("<2d", 1.0, 2.0))
    """,
        )
    },
    INTERFERED,
)
add(
    "patched-runner",
    "replaces functions of the program around it",
    {
        "model.py": model(
            head="import __main__",
            load="""
    __main__.as_float = lambda value: 1.0
    __main__.predict_each = lambda model, images, folder: [1.0, 1.0]
    """,
        )
    },
    INTERFERED,
)
add(
    "raised-fault",
    "raises the program's own exception with a code of its own",
    {
        "model.py": model(
            head="import __main__",
            predict="""
    raise __main__.FaultError("not-a-code", "text")
    """,
        )
    },
    INTERFERED,
)
add(
    "hooks",
    "hooks into everything that Python calls back",
    {
        "model.py": model(
            head="""
import atexit, gc, warnings
def hook(*a, **k):
    return hook
""",
            load="""
    sys.setprofile(lambda *a: None)
    sys.settrace(hook)
    sys.excepthook = sys.unraisablehook = sys.displayhook = threading.excepthook = hook
    gc.callbacks.append(lambda *a: 1 / 0)
    atexit.register(lambda: os.kill(os.getpid(), 9))
    sys.meta_path.insert(0, None)
    sys.path[:] = []
    sys.addaudithook(lambda *a: None)
    sys.modules.pop("json", None)
    """,
        )
    },
)
