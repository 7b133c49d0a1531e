"""The program as a whole: what it accepts, what it writes, in which order."""

import hashlib
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from ingestion_helpers import GOOD_MODEL, PROGRAM, Run, draw, names
from PIL import Image

Ingest = Callable[..., Run]


def expected_means(folder: Path) -> dict[str, float]:
    return {
        path.name: float(np.asarray(Image.open(path).convert("RGB"), dtype=float).mean())
        for path in folder.iterdir()
    }


def test_predictions_equal_a_plain_loop_and_are_vouched_for(ingest: Ingest, images: Path) -> None:
    run = ingest()
    assert run.code == 0
    assert run.scores == expected_means(images)
    assert list(run.scores) == sorted(run.scores)
    outcome = run.outcome
    assert outcome["state"] == "finished"
    assert outcome["error"] is None
    assert outcome["images"] == outcome["predicted"] == 10
    data = (run.output / "predictions.csv").read_bytes()
    assert outcome["predictions_sha256"] == hashlib.sha256(data).hexdigest()
    assert names(run.output) == [
        "ingestion.json",
        "participant.log",
        "predictions.csv",
    ]


# Half a second to load, 200 MB of its own memory.
COSTLY_MODEL = """
import time

class Model:
    batch_size = 4

    def load(self):
        time.sleep(0.5)
        self.ballast = b"x" * 200_000_000

    def predict(self, image):
        raise NotImplementedError

    def predict_batch(self, images):
        return [0.5] * len(images)
"""


def test_the_record_tells_what_the_run_cost(ingest: Ingest) -> None:
    outcome = ingest(COSTLY_MODEL, time_limit=50).outcome
    assert outcome["time_limit"] == 50
    assert outcome["batch_size"] == 4
    assert 0.5 <= outcome["load_seconds"] < outcome["seconds"]
    assert 0 <= outcome["predict_seconds"] <= outcome["seconds"] - outcome["load_seconds"]
    assert 200e6 < outcome["peak_memory_bytes"] < 600e6


def test_memory_of_the_supervisor_is_not_the_models(ingest: Ingest) -> None:
    # A small model: the kernel's figure for ended children would hold what started it, too.
    model = "class Model:\n    def load(self): pass\n    def predict(self, image): return 1.0\n"
    assert ingest(model).outcome["peak_memory_bytes"] < 100e6


def test_a_run_without_a_model_has_no_costs_but_its_time(ingest: Ingest) -> None:
    outcome = ingest("raise ValueError('no')").outcome
    assert outcome["state"] == "failed"
    assert outcome["load_seconds"] is outcome["predict_seconds"] is outcome["batch_size"] is None
    assert outcome["predicted"] == 0 and outcome["seconds"] > 0


def test_first_line_states_version_limits_and_counts(ingest: Ingest) -> None:
    first = ingest(time_limit=50).stdout.splitlines()[0]
    for part in ("Mimicry 0.", "10 images", "time limit 50 s", "MIMICRY_TIME_LIMIT", "45 s"):
        assert part in first


def test_without_a_terminal_progress_is_plain_lines(ingest: Ingest) -> None:
    lines = ingest().stdout.splitlines()
    assert sum("of 10 images" in line for line in lines) >= 4
    assert any("s left" in line for line in lines)
    assert "\r" not in "".join(lines)


def test_everything_found_in_the_output_is_removed_first(ingest: Ingest, tmp_path: Path) -> None:
    output = tmp_path / "output"
    (output / "deep" / "er").mkdir(parents=True)
    (output / "predictions.csv").write_text("filename,score\n00.jpg,1\n")
    (output / "metadata").write_text("exitCode: 0\n")
    outside = tmp_path / "outside.txt"
    outside.write_text("stays")
    (output / "link").symlink_to(outside)
    (output / "linked_folder").symlink_to(tmp_path, target_is_directory=True)
    run = ingest("raise ValueError('no')")
    assert run.code == 3
    assert names(output) == ["ingestion.json", "participant.log"]
    assert outside.read_text() == "stays"


def test_what_the_model_plants_in_the_output_is_removed(ingest: Ingest, tmp_path: Path) -> None:
    output = tmp_path / "output"
    model = (
        GOOD_MODEL
        + f"""
import os, pathlib
output = pathlib.Path({str(output)!r})
(output / "scores.json").write_text("{{}}")
(output / "predictions.csv").write_text("filename,score")
(output / "sub").mkdir()
os.symlink("/etc/passwd", output / "link")
(output / "participant.log").unlink()
(output / "participant.log").write_text("mine")
"""
    )
    run = ingest(model, without="landlock")
    assert run.code == 0
    assert names(output) == ["ingestion.json", "predictions.csv"]
    assert len(run.scores) == 10


def test_nothing_can_be_planted_in_the_output(ingest: Ingest, tmp_path: Path) -> None:
    model = f"""
import os
from pathlib import Path
output = Path({str(tmp_path / "output")!r})
tries = [
    lambda: (output / "scores.json").write_text("{{}}"),
    lambda: (output / "participant.log").unlink(),
    lambda: output.rename(output.parent / "elsewhere"),
    lambda: os.symlink("/etc/passwd", output / "link"),
    lambda: list(output.iterdir()),
    lambda: (output / "ingestion.json").read_text(),
]
for number, attempt in enumerate(tries):
    try:
        attempt()
    except PermissionError:
        continue
    raise AssertionError(f"attempt {{number}} got through")
{GOOD_MODEL}
"""
    run = ingest(model)
    assert run.code == 0, run.stderr
    assert names(run.output) == ["ingestion.json", "participant.log", "predictions.csv"]


@pytest.mark.parametrize("wrapper", ["my submission", "Übung"])
def test_one_wrapping_folder_is_accepted_and_named(ingest: Ingest, wrapper: str) -> None:
    run = ingest(
        None, {f"{wrapper}/model.py": GOOD_MODEL, "__MACOSX/model.py": "x", "notes.txt": ""}
    )
    assert run.code == 0
    assert wrapper in run.stdout


def test_the_submissions_own_modules_and_files_are_found(ingest: Ingest) -> None:
    model = """
import os, pickle
import helper
class Model:
    def load(self):
        folder = os.path.dirname(__file__)
        assert open(os.path.join(folder, "weights.txt")).read() == open("weights.txt").read()
        assert pickle.loads(pickle.dumps(Thing(3))).value == 3
    def predict(self, image):
        return helper.score(image)
class Thing:
    def __init__(self, value):
        self.value = value
"""
    files = {"helper.py": "def score(image):\n    return image.width\n", "weights.txt": "w"}
    assert set(ingest(model, files).scores.values()) == {60.0}


def test_the_model_sees_pixels_only(ingest: Ingest, images: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "hybrid"
    Image.new("RGB", (8, 8)).save(images / "exif.jpg", exif=exif, comment=b"hybrid")
    model = f"""
import sys, os
class Model:
    def load(self):
        everything = " ".join(sys.argv) + str(dict(os.environ)) + os.getcwd()
        assert {str(images)!r} not in everything, everything
    def predict(self, image):
        assert not getattr(image, "filename", "")
        assert not image.info and not dict(image.getexif()), image.info
        return 1.0
"""
    assert ingest(model).code == 0


def test_images_come_in_an_unforeseeable_order(ingest: Ingest, images: Path) -> None:
    for number in range(10, 30):
        draw(images / f"{number}.jpg", number)
    model = """
class Model:
    def load(self):
        self.count = 0
    def predict(self, image):
        self.count += 1
        return self.count
"""
    first = list(ingest(model).scores.values())
    assert sorted(first) == list(range(1, 31))
    assert first != sorted(first)
    assert list(ingest(model).scores.values()) != first


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "1", "I;16", "LA", "F", "I"])
@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "bmp", "webp", "gif"])
def test_every_mode_and_format_keeps_its_pixels(tmp_path: Path, mode: str, extension: str) -> None:
    from mimicry.ingestion import runner
    from mimicry.ingestion.arena import make_arena
    from mimicry.ingestion.images import decode_into, list_images

    gradient = Image.linear_gradient("L").resize((37, 23))
    source = gradient.convert("RGB") if mode in ("CMYK", "P") else gradient
    picture = source.convert("I").convert(mode) if mode == "I;16" else source.convert(mode)
    path = tmp_path / f"image.{extension}"
    try:
        picture.save(path)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"Pillow does not write {mode} as {extension}")
    (entry,) = list_images(tmp_path)
    arena = make_arena(entry.stored_bytes, 1, 2**20)
    offset = arena.slot_bytes
    decode_into(entry, arena.memory, offset)
    mode_index = runner.MODES.index(entry.mode)
    made = runner.image_maker()(arena.memory, offset, entry.width, entry.height, mode_index)
    with Image.open(path) as opened:
        expected = opened.convert(entry.mode) if opened.mode != entry.mode else opened
        expected.load()
        assert made.mode == entry.mode
        assert made.size == opened.size
        assert made.tobytes() == expected.tobytes()
        if opened.mode in runner.MODES:
            assert made.mode == opened.mode


def test_kept_images_do_not_change(ingest: Ingest, images: Path) -> None:
    model = """
import numpy as np
class Model:
    batch_size = 3
    def load(self):
        self.kept = []
    def predict_batch(self, images):
        for image in images:
            self.kept.append((image, np.asarray(image).copy()))
        for image, pixels in self.kept:
            assert (np.asarray(image) == pixels).all()
        return [1.0] * len(images)
    def predict(self, image):
        raise AssertionError
"""
    for number in range(10, 60):
        draw(images / f"{number}.jpg", number)
    run = ingest(model)
    assert run.code == 0, run.sentence


def test_changing_an_image_in_place_is_harmless(ingest: Ingest) -> None:
    model = """
from PIL import ImageDraw
class Model:
    def load(self):
        pass
    def predict(self, image):
        before = image.getpixel((0, 0))
        image.putpixel((0, 0), (1, 2, 3))
        ImageDraw.Draw(image).line((0, 0, 9, 9), fill="red")
        image.paste((9, 9, 9), (2, 2, 4, 4))
        image.thumbnail((5, 5))
        return sum(before)
"""
    assert ingest(model).code == 0


def test_images_of_mixed_sizes_in_batches(ingest: Ingest, images: Path) -> None:
    for number, size in enumerate([(1, 1), (700, 500), (3, 900), (2000, 1500), (64, 64)]):
        draw(images / f"size{number}.png", number, size)
    model = """
import numpy as np
class Model:
    batch_size = 4
    def load(self):
        pass
    def predict(self, image):
        return float(np.asarray(image.convert("RGB"), dtype=float).mean())
    def predict_batch(self, images):
        return np.array([self.predict(image) for image in images])
"""
    run = ingest(model)
    assert run.scores == expected_means(images)
    assert "predict_batch, 4 images a call" in run.stdout


def test_batches_are_full_but_the_last_and_default_to_32(ingest: Ingest, images: Path) -> None:
    for number in range(10, 70):
        draw(images / f"{number}.jpg", number)
    model = """
class Model:
    def load(self):
        pass
    def predict(self, image):
        raise AssertionError
    def predict_batch(self, images):
        return [len(images)] * len(images)
"""
    scores = sorted(ingest(model).scores.values())
    assert scores == [6.0] * 6 + [32.0] * 64


def test_clutter_in_the_input_is_ignored(ingest: Ingest, images: Path) -> None:
    (images / ".DS_Store").write_bytes(b"x")
    (images / "Thumbs.db").write_bytes(b"x")
    (images / "__MACOSX").mkdir()
    assert len(ingest().scores) == 10


def test_settings_packed_with_the_program_give_the_limit(ingest: Ingest, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.mkdir()
    for name in ("ingestion.py", "allowed_packages.txt"):
        (program / name).write_bytes((PROGRAM / name).read_bytes())
    settings = program / "phase.json"
    settings.write_text('{"phase": "Final", "execution_time_limit": 600}')
    submission = tmp_path / "submission"
    submission.mkdir()
    (submission / "model.py").write_text(GOOD_MODEL)
    environment = {k: v for k, v in os.environ.items() if k != "MIMICRY_TIME_LIMIT"}
    command = [
        *(sys.executable, str(program / "ingestion.py"), str(tmp_path / "input_data")),
        *(str(tmp_path / "out"), str(program), str(submission)),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "time limit 600 s (Final), model stopped at 540 s" in done.stdout
    settings.write_text('{"phase": "Final"}')
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "[time-limit]" in done.stderr.splitlines()[-1]


def test_usage(tmp_path: Path) -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(PROGRAM / "ingestion.py"), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    helped = program("--help")
    assert helped.returncode == 0
    assert "examples:" in helped.stdout
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "precious").write_text("x")
    a, b, c = (str(tmp_path / name) for name in ("a", "b", "c"))
    for arguments in (
        [a, a, b, c],
        [a, str(tmp_path), b, c],
        [a, f"{b}/x", b, c],
        [a, b, "/no", c],
    ):
        done = program(*arguments)
        assert done.returncode == 2, arguments
        assert "_DIR" in done.stderr.splitlines()[-1]
    assert (tmp_path / "a" / "precious").exists()


def test_nothing_of_the_model_outlives_the_run(ingest: Ingest, tmp_path: Path) -> None:
    mark = f"mimicry-test-{os.getpid()}"
    model = (
        GOOD_MODEL
        + f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", {mark!r}])
subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(300)", {mark!r}], start_new_session=True
)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(300)", {mark!r}])
    os._exit(0)
"""
    )
    assert ingest(model).code == 0
    assert not processes_with(mark)


def processes_with(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    ("number", "state"),
    [(signal.SIGTERM, "failed"), (signal.SIGINT, "failed"), (signal.SIGKILL, "running")],
)
def test_ended_from_outside(tmp_path: Path, images: Path, number: int, state: str) -> None:
    submission = tmp_path / "submission"
    submission.mkdir()
    mark = f"mimicry-slow-{tmp_path.name}"
    (submission / "model.py").write_text(f"""
import subprocess, sys, time
class Model:
    def load(self):
        open("loaded", "w").close()
        sys.argv.append({mark!r})
        time.sleep(300)
    def predict(self, image):
        return 1.0
""")
    output = tmp_path / "output"
    process = subprocess.Popen(
        [
            *(sys.executable, str(PROGRAM / "ingestion.py"), str(images)),
            *(str(output), str(PROGRAM), str(submission)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not (submission / "loaded").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    code = process.wait(timeout=30)
    assert code == (4 if state == "failed" else -number)
    run = Run(code, "", "", output)
    assert run.outcome["state"] == state
    assert not (output / "predictions.csv").exists()
    while processes_with(str(submission)):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_on_a_terminal_progress_is_a_bar(tmp_path: Path, images: Path) -> None:
    submission = tmp_path / "submission"
    submission.mkdir()
    (submission / "model.py").write_text(GOOD_MODEL)
    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    process = subprocess.Popen(
        [
            *(sys.executable, str(PROGRAM / "ingestion.py"), str(images)),
            *(str(tmp_path / "output"), str(PROGRAM), str(submission)),
        ],
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    stdout, _ = process.communicate(timeout=60)
    shown = ""
    with suppress(OSError):  # how the end of a terminal reads
        while chunk := os.read(master, 65536):
            shown += chunk.decode()
    os.close(master)
    assert process.returncode == 0
    assert "10/10" in shown and "image/s" in shown
    assert b"s left" not in stdout


@pytest.mark.parametrize("name", ["\\x0cVmHWM:", "\\x0cVmHWM: 12345678 kB", "\\x1cVmHWM:\\t1 kB"])
def test_a_process_name_forges_no_memory(ingest: Ingest, name: str) -> None:
    model = (
        "import ctypes\n"
        + GOOD_MODEL
        + f"\n    def __init__(self):\n        ctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\n"
    )
    run = ingest(model)
    assert run.code == 0 and run.outcome["state"] == "finished"
    assert 10e6 < run.outcome["peak_memory_bytes"] < 500e6
