"""Each fault: its code, its exit code, its sentence, and nothing written but that."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ingestion_helpers import GOOD_MODEL, ROOT, Run, names
from PIL import Image

Ingest = Callable[..., Run]


def model(load: str = "pass", predict: str = "return 1.0", extra: str = "") -> str:
    return f"""
import os, sys, signal, time, math, ctypes
import numpy as np
class Model:
    def load(self):
        self.count = 0
        {load}
    def predict(self, image):
        self.count += 1
        {predict}
    {extra}
"""


BATCH = "def predict_batch(self, images):\n        "

GARBAGE = [
    "for n in range(3, 40):",
    "    if os.path.exists(f'/proc/self/fd/{n}'):",
    "        if 'socket' in os.readlink(f'/proc/self/fd/{n}'):",
    "            os.write(n, b'garbage')",
    "return 1.0",
]

FAULTS = {
    "no model.py": (None, "no-model-file", ["model.py", "notes.txt"]),
    "syntax error": ("def broken(:\n", "model-import", ["SyntaxError", "model.py, line 1"]),
    "missing package": ("import no_such_package", "model-import", ["no_such_package", "line 1"]),
    "error in a helper": ("x = 1\n\nraise ValueError('why')", "model-import", ["why", "line 3"]),
    "no Model": ("class Other: pass", "no-model-class", ["class named Model"]),
    "no load": ("class Model:\n    def predict(self, i): return 1", "no-load", ["load()"]),
    "no predict": ("class Model:\n    def load(self): pass", "no-predict", ["predict(image)"]),
    "constructor": (
        model().replace("def load(self):", "def __init__(self): 1 / 0\n    def load(self):"),
        "load-failed",
        ["ZeroDivisionError"],
    ),
    "load raises": (model("raise OSError('no weights')"), "load-failed", ["no weights", "line 7"]),
    "predict raises": (
        model(predict="if self.count == 4: raise KeyError('x')\n        return 1.0"),
        "predict-failed",
        ["image 4 of 10", "KeyError", "model.py, line 10"],
    ),
    "None": (model(predict="return None"), "bad-score", ["None", "image 1 of 10"]),
    "text": (model(predict="return '0.5'"), "bad-score", ["a str"]),
    "list": (model(predict="return [0.5]"), "bad-score", ["a list of length 1"]),
    "complex": (model(predict="return 1j"), "bad-score", ["a complex"]),
    "two elements": (model(predict="return np.ones(2)"), "bad-score", ["(2,)"]),
    "date": (model(predict="return np.datetime64('2024-01-01')"), "bad-score", ["datetime64"]),
    "NaN": (
        model(predict="return math.nan if self.count == 7 else 1.0"),
        "not-finite",
        ["image 7 of 10", "NaN"],
    ),
    "infinity": (model(predict="return -math.inf"), "not-finite", ["infinite"]),
    "too large": (model(predict="return 10 ** 400"), "not-finite", ["infinite"]),
    "short batch": (
        model(extra=BATCH + "return [1.0] * (len(images) - 1)"),
        "batch-length",
        ["9 scores for 10 images"],
    ),
    "one for all": (
        model(extra=BATCH + "return np.array(1.0)"),
        "batch-length",
        ["0 scores for 10 images"],
    ),
    "generator": (model(extra=BATCH + "return (1.0 for i in images)"), "bad-score", ["generator"]),
    "dict": (model(extra=BATCH + "return {i: 1.0 for i in range(10)}"), "bad-score", ["dict"]),
    "bad in batch": (
        model(extra=BATCH + "return [1.0, 2.0, None] + [1.0] * 7"),
        "bad-score",
        ["image 3 of 10", "None"],
    ),
    "batch raises": (model(extra=BATCH + "raise ValueError('b')"), "predict-failed", ["b"]),
    "batch size": (
        model(extra="batch_size = 2.5\n    " + BATCH + "return [1.0]"),
        "batch-size",
        ["float"],
    ),
    "batch size 0": (
        model(extra="batch_size = 0\n    " + BATCH + "return [1.0]"),
        "batch-size",
        ["1 or more"],
    ),
    "sys.exit": (model(predict="sys.exit(0)"), "model-exit", ["SystemExit", "image 1"]),
    "sys.exit in import": ("import sys; sys.exit('bye')", "model-exit", ["bye"]),
    "os._exit 0": (
        model(predict="if self.count == 10: os._exit(0)\n        return 1.0"),
        "model-exit",
        ["of 10 images", "exit code 0"],
    ),
    "os._exit in load": (model("os._exit(5)"), "model-exit", ["0 of 10", "exit code 5"]),
    "segfault": (model(predict="ctypes.string_at(0)"), "model-signal", ["SIGSEGV"]),
    "SIGKILL": (
        model(predict="os.kill(os.getpid(), signal.SIGKILL)"),
        "model-signal",
        ["SIGKILL", "memory ran out", "peak"],
    ),
    "out of memory": (
        model(predict="bytearray(1 << 60)"),
        "out-of-memory",
        ["ran out of memory", "image 1 of 10"],
    ),
    "recursion": (model(predict="return self.predict(image)"), "predict-failed", ["Recursion"]),
    "garbage": (
        model(predict="\n        ".join(GARBAGE)),
        "model-interfered",
        ["bytes that are no answer"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault(ingest: Ingest, name: str) -> None:
    source, code, parts = FAULTS[name]
    run = ingest(source, {"notes.txt": "x"})
    assert run.code == 3
    outcome = run.outcome
    assert outcome["state"] == "failed"
    assert outcome["error_kind"] == "submission"
    assert outcome["error_code"] == code, outcome["error"]
    assert run.sentence == f"{outcome['error']} [{code}]"
    assert outcome["predictions_sha256"] is None
    for part in parts:
        assert part in outcome["error"]
    assert "Traceback" not in run.stdout + run.stderr
    assert names(run.output) == ["ingestion.json", "participant.log"]


def test_over_the_deadline_says_how_far_and_what_is_needed(ingest: Ingest) -> None:
    run = ingest(model(predict="time.sleep(0.5)\n        return 1.0"), time_limit=3)
    assert run.code == 3
    assert run.outcome["error_code"] == "time-limit-exceeded"
    pattern = r"(\d) of 10 images in 3 s, ([\d.]+) s each; ([\d.]+) needed \(time limit 3 s\)"
    found = re.search(pattern, run.outcome["error"])
    assert found is not None, run.outcome["error"]
    done, each, needed = int(found[1]), float(found[2]), float(found[3])
    assert run.outcome["predicted"] == done
    assert 1 <= done < 10
    # Both come from the model's own time, here shown with two digits.
    assert each * done == pytest.approx(needed * 10, rel=0.06)
    assert each >= 0.5 > needed
    assert run.outcome["seconds"] < 6


@pytest.mark.parametrize(
    "load",
    [
        "while True: pass",
        "time.sleep(100)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)",
    ],
)
def test_a_model_that_never_loads_is_stopped(ingest: Ingest, load: str) -> None:
    start = time.monotonic()
    run = ingest(model(load), time_limit=2)
    assert run.outcome["error_code"] == "time-limit-exceeded"
    assert "had not loaded" in run.outcome["error"]
    assert time.monotonic() - start < 10


def test_a_channel_held_open_by_a_child_does_not_hide_the_exit(ingest: Ingest) -> None:
    load = "\n        if os.fork() == 0:\n            time.sleep(100)\n        os._exit(3)"
    run = ingest(model(load))
    assert run.outcome["error_code"] == "model-exit"
    assert run.outcome["seconds"] < 10


def test_scores_of_a_forked_copy_do_not_count_twice(ingest: Ingest) -> None:
    run = ingest(model(predict="\n        if self.count == 3: os.fork()\n        return 1.0"))
    assert run.code in {0, 3}
    assert (run.code == 0) == (run.output / "predictions.csv").exists()


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (b"", "unreadable-image", "bad.jpg"),
        (b"not an image", "unreadable-image", "bad.jpg"),
        ("truncated", "unreadable-image", "bad.jpg"),
        ("folder", "not-an-image", "bad.jpg"),
        ("link", "not-an-image", "bad.jpg"),
    ],
)
def test_unusable_input_is_the_organisers_error(
    ingest: Ingest, images: Path, content: bytes | str, code: str, part: str
) -> None:
    path = images / "bad.jpg"
    if content == "truncated":
        whole = (images / "00.jpg").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content == "folder":
        path.mkdir()
    elif content == "link":
        path.symlink_to(images / "00.jpg")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    run = ingest()
    assert run.code == 4
    assert run.outcome["error_kind"] == "bundle"
    assert run.outcome["error_code"] == code
    assert part in run.outcome["error"]
    assert not (run.output / "predictions.csv").exists()


def test_an_unreadable_image_does_not_wait_for_a_slow_model(ingest: Ingest, images: Path) -> None:
    whole = (images / "00.jpg").read_bytes()
    for number in range(10):
        (images / f"{number:02d}.jpg").write_bytes(whole[: len(whole) // 2])
    run = ingest(model("time.sleep(50)"))
    assert run.code == 4
    assert run.outcome["seconds"] < 10


def test_no_images_at_all(ingest: Ingest, images: Path) -> None:
    for path in images.iterdir():
        path.unlink()
    assert ingest().outcome["error_code"] == "no-images"


def test_two_candidates_for_the_model(ingest: Ingest) -> None:
    run = ingest(None, {"a/model.py": GOOD_MODEL, "b/model.py": GOOD_MODEL})
    assert run.outcome["error_code"] == "ambiguous-model"
    assert "a, b" in run.outcome["error"]


def test_what_the_model_prints_is_private_and_bounded(ingest: Ingest) -> None:
    load = (
        "\n        for n in range(200000): print('canary', n, 'x' * 60)\n        print('the end')"
    )
    run = ingest(model(load))
    assert run.code == 0
    assert "canary" not in run.stdout + run.stderr
    size = (run.output / "participant.log").stat().st_size
    assert 300_000 < size < 340_000
    assert run.log.startswith("canary 0 ")
    assert run.log.endswith("the end\n")
    assert "bytes left out" in run.log


def test_the_traceback_is_in_the_private_log_only(ingest: Ingest) -> None:
    run = ingest(model("raise ValueError('secret\\x1b[31m\\nsecond line')"))
    assert "Traceback" in run.log
    assert "\x1b" not in run.stderr
    assert run.sentence.startswith("Model() or load() failed with ValueError: secret?[31m second")


def test_a_model_cannot_make_an_endless_sentence(ingest: Ingest) -> None:
    run = ingest(model("raise ValueError('y' * 10_000_000)"))
    assert len(run.sentence) < 700


def test_every_code_is_in_the_catalogue() -> None:
    text = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/mimicry").rglob("*.py")
    )
    codes = set(re.findall(r'(?:SubmissionError|BundleError)\(\s*"([a-z-]+)"', text))
    from mimicry.ingestion import faults

    codes |= set(faults._SENTENCES)
    assert len(codes) > 25
    # The participant's stand on the competitions' pages.
    pages = ("docs/errors.md", "pages/errors.md", "pages/errors-realign.md")
    catalogue = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    missing = sorted(code for code in codes if f"`{code}`" not in catalogue)
    assert not missing


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1", 0.1),
        ("7", 7.0),
        ("True", 1.0),
        ("np.float32(0.1)", 0.10000000149011612),
        ("np.float16(0.5)", 0.5),
        ("np.int64(3)", 3.0),
        ("np.bool_(True)", 1.0),
        ("np.array(0.1)", 0.1),
        ("np.array([0.1])", 0.1),
        ("np.array([[1e-300]])", 1e-300),
        ("np.longdouble(0.25)", 0.25),
        ("-1.7976931348623157e308", -1.7976931348623157e308),
        ("Tensor(0.1, ())", 0.1),
        ("Tensor(5, (1, 1))", 5.0),
    ],
)
def test_accepted_scores_keep_their_precision(
    ingest: Ingest, images: Path, expression: str, value: float
) -> None:
    tensor = """
class Tensor:
    # What tensors of the common libraries have in common.
    def __init__(self, value, shape):
        self.value, self.shape = value, shape
    def detach(self):
        return self
    def item(self):
        return self.value
"""
    run = ingest(tensor + model(predict=f"return {expression}"))
    assert run.code == 0, run.sentence
    assert set(run.scores.values()) == {value}
    assert f",{value!r}\n" in (run.output / "predictions.csv").read_text()


@pytest.mark.parametrize(
    "expression",
    ["[0.5] * n", "(0.5,) * n", "np.full(n, 0.5)", "np.full((n, 1), 0.5)", "[np.array([0.5])] * n"],
)
def test_accepted_batches(ingest: Ingest, expression: str) -> None:
    run = ingest(model(extra=BATCH + f"n = len(images); return {expression}"))
    assert run.code == 0, run.sentence
    assert set(run.scores.values()) == {0.5}


def test_a_batch_of_one_may_be_squeezed(ingest: Ingest) -> None:
    extra = "batch_size = 3\n    " + BATCH + "return np.full(len(images), 0.5).squeeze()"
    assert ingest(model(extra=extra)).code == 0


def test_a_huge_image_is_refused(images: Path) -> None:
    from mimicry.errors import BundleError
    from mimicry.ingestion.images import list_images

    Image.new("1", (20000, 20000)).save(images / "huge.png")
    with pytest.raises(BundleError, match=r"huge\.png has 20,000 x 20,000"):
        list_images(images)


def test_a_model_that_moves_the_output_folder_away_harms_only_itself(
    ingest: Ingest, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    output = tmp_path / "output"
    load = (
        f"os.rename({str(output)!r}, '{output}2'); os.symlink({str(precious)!r}, {str(output)!r})"
    )
    run = ingest(model(load), without="landlock")
    assert run.outcome["error_code"] == "model-interfered"
    assert (precious / "file").read_text() == "x"
    assert not output.is_symlink()


@pytest.mark.parametrize("name", ["types.py", "struct.py", "socket.py", "random.py"])
def test_helpers_named_like_the_standard_library_break_nothing(ingest: Ingest, name: str) -> None:
    assert ingest(GOOD_MODEL, {name: "raise SystemExit\n"}).code == 0


def test_a_png_that_ends_early_is_black_there_and_shows_no_other_image(
    ingest: Ingest, images: Path
) -> None:
    import io
    import zlib

    whole = io.BytesIO()
    Image.new("RGB", (60, 60), (255, 0, 0)).save(whole, "PNG")
    data = whole.getvalue()
    start = data.index(b"IDAT") - 4
    end = data.index(b"IEND") - 4
    rows = zlib.compress(zlib.decompress(data[start + 8 : end - 4])[: 20 * 181])
    chunk = b"IDAT" + rows
    checksum = zlib.crc32(chunk).to_bytes(4, "big")
    short = data[:start] + len(rows).to_bytes(4, "big") + chunk + checksum + data[end:]
    for number in range(8):
        (images / f"short{number}.png").write_bytes(short)
        Image.new("RGB", (60, 60), (0, 255, 9)).save(images / f"full{number}.png")
    scores = ingest().scores
    assert {scores[f"short{number}.png"] for number in range(8)} == {255 / 9}


def test_a_name_that_is_not_utf8_is_told_before_the_model_starts(
    ingest: Ingest, images: Path
) -> None:
    os.rename(os.fsencode(images / "00.jpg"), os.fsencode(images) + b"/\xff.jpg")  # noqa: PTH104
    run = ingest(model("print('started')"))
    assert (run.code, run.outcome["error_code"]) == (4, "not-an-image")
    assert "started" not in run.log


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_the_organisers_and_leaves_no_predictions(
    ingest: Ingest, images: Path, tmp_path: Path
) -> None:
    import subprocess

    output = tmp_path / "output"
    output.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(output)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        run = ingest(model("print('x' * 100_000)"))
        assert run.code == 4
        assert "[output-folder]" in run.sentence
        assert not (output / "predictions.csv").exists()
    finally:
        subprocess.run(["umount", str(output)], check=True)


def test_missing_input_and_submission_are_told_in_the_record(
    ingest: Ingest, images: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    from ingestion_helpers import PROGRAM

    for place, code, exit_code in (("input", "no-images", 4), ("submission", "no-model-file", 3)):
        folders = {"input": images, "submission": tmp_path} | {place: tmp_path / "nowhere"}
        output = tmp_path.parent / f"{tmp_path.name}-{place}"
        done = subprocess.run(
            [
                *(sys.executable, str(PROGRAM / "ingestion.py"), str(folders["input"])),
                *(str(output), str(PROGRAM), str(folders["submission"])),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exit_code
        assert Run(0, "", "", output).outcome["error_code"] == code
