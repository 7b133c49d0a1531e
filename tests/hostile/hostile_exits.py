"""Models that end, crash or raise, and the words that they leave behind."""

from hostile_case import add, model

FIFTH = "if self.count == 5: "


def ending(name: str, does: str, expected: str, *, load: str = "", predict: str = "", **more):
    add(name, does, {"model.py": model(load=load, predict=predict)}, expected, **more)


add(
    "exit-at-import",
    "exits while it is imported",
    {"model.py": model(tail="sys.exit('bye')")},
    "model-exit",
)
ending("exit-in-load", "calls sys.exit(0) in load", "model-exit", load="sys.exit(0)")
ending("exit-hard-in-load", "ends itself without a word in load", "model-exit", load="os._exit(0)")
ending(
    "exit-midway",
    "ends itself with success midway",
    "model-exit",
    predict=FIFTH + "os._exit(0)",
    says=["4 of 12"],
    full=True,
)
ending(
    "exit-at-last",
    "ends itself at the last image",
    "model-exit",
    predict="if self.count == 12: os._exit(0)",
    says=["11 of 12"],
)
ending(
    "exit-after-last",
    "ends itself badly after the last score",
    "finished",
    predict="if self.count == 12: threading.Timer(0.4, lambda: os._exit(9)).start()",
)
ending(
    "exit-in-thread",
    "exits in a thread",
    "finished",
    load="thread = threading.Thread(target=sys.exit)\nthread.start()\nthread.join()",
)
ending("abort", "aborts", "model-signal", predict=FIFTH + "os.abort()", says=["SIGABRT"])
ending(
    "segfault",
    "reads where nothing is",
    "model-signal",
    predict=FIFTH + "ctypes.string_at(0)",
    says=["SIGSEGV"],
)
ending(
    "killed",
    "ends by the signal of a memory shortage",
    "model-signal",
    predict=FIFTH + "os.kill(os.getpid(), signal.SIGKILL)",
    says=["SIGKILL"],
)
ending(
    "real-time-signal",
    "ends by a signal without a name",
    "model-signal",
    predict=FIFTH + "os.kill(os.getpid(), 50)",
)
ending(
    "own-time-limit",
    "sets itself a limit of processor time",
    "model-signal",
    load="import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
)
ending(
    "another-program",
    "becomes another program",
    "model-exit",
    predict=FIFTH + 'os.execv("/bin/true", ["true"])',
)
ending(
    "interrupt",
    "raises KeyboardInterrupt",
    "predict-failed",
    predict=FIFTH + "raise KeyboardInterrupt",
)
ending(
    "generator-exit",
    "raises GeneratorExit",
    "predict-failed",
    predict=FIFTH + "raise GeneratorExit",
)
ending(
    "recursion",
    "calls itself for ever",
    "predict-failed",
    predict="return self.predict(image)",
    says=["Recursion"],
)


def raising(name: str, does: str, head: str, raised: str, **more: object) -> None:
    source = model(head=head, predict=f"{FIFTH}raise {raised}")
    add(name, does, {"model.py": source}, "predict-failed", **more)


TEXT = "\\x1b]0;owned\\x07\\x1b[2J\\r\\n\\u202e\\u2066evil\\0 <script>alert(1)</script> [done]\\n"
raising(
    "text-escapes",
    "an exception with escapes, bidi marks and markup",
    "",
    f'ValueError("{TEXT}" * 3)',
    full=True,
)
raising("text-huge", "an exception of ten megabytes", "", 'ValueError("x" * 10_000_000)')
raising(
    "text-forged",
    "an exception that reads like the program's own last line",
    "",
    'ValueError("done.\\nfinished: 12 predictions [no-such-code]\\n::set-output name=x::y")',
)
raising("text-surrogates", "an exception that is no Unicode", "", 'ValueError("\\ud800\\udfff")')
raising(
    "text-in-class-name",
    "a class whose name clears the screen",
    "",
    'type("\\x1b[2J\\u202eError\\n[x]", (ValueError,), {})()',
)
raising(
    "str-raises",
    "an exception whose text raises",
    "class Bad(Exception):\n    def __str__(self): raise self\n    __repr__ = __str__",
    "Bad()",
)
raising(
    "str-endless",
    "an exception whose text is no text",
    "class Bad(Exception):\n    def __str__(self): return 5",
    "Bad()",
)
add(
    "str-exits",
    "an exception whose text ends the process",
    {
        "model.py": model(
            head="class Bad(Exception):\n    def __str__(self): os._exit(0)",
            predict=FIFTH + "raise Bad()",
        )
    },
    "model-exit",
)
add(
    "deleted-raises",
    "objects that raise and exit when they are deleted",
    {
        "model.py": model(
            head="class Bad:\n    def __del__(self): raise SystemExit(3)", predict="Bad()"
        )
    },
)
