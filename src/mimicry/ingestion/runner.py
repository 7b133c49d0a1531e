"""The model's process: loads a submission and scores the images it is handed.

The supervisor passes this file's text to ``python -c``, so that nothing of the
program's folder has to be readable here. It must stay self-contained: the
standard library and Pillow, nothing of this package.

Messages (little-endian, one packet each) over a socket of packets:

- supervisor to model: ``I`` count, then per image ``QIIB`` = offset in the
  arena in bytes, width and height in pixels, index into `MODES`; a count of 0
  says that all is done.
- model to supervisor: ``R`` + ``I`` batch size (0: one image a call) once the
  model is loaded; ``S`` + one ``d`` an image for each packet of images; ``E`` +
  fault code, NUL, position in the packet, NUL, UTF-8 text when something failed.

The supervisor trusts none of it.
"""

import contextlib
import ctypes
import importlib.util
import math
import mmap
import operator
import os
import signal
import socket
import struct
import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

# Pillow's modes that cross over as they are; the others are converted before.
MODES = ("RGB", "L", "RGBA", "CMYK", "1", "I", "F", "LA", "I;16", "YCbCr", "LAB", "HSV")
# Of these, the ones whose memory layout in the arena is Pillow's own.
MAPPED_MODES = frozenset({"RGB", "L", "RGBA", "CMYK"})

COUNT = struct.Struct("<I")
IMAGE = struct.Struct("<QIIB")
DEFAULT_BATCH_SIZE = 32
LARGEST_BATCH = 1024
LONGEST_PACKET = COUNT.size + LARGEST_BATCH * IMAGE.size
LONGEST_TEXT = 600


class FaultError(Exception):
    """A fault of the submission, told to the supervisor by its code."""

    def __init__(self, code: str, text: str, position: int = -1) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.position = position


def main(socket_fd: int, arena_fd: int, arena_size: int, folder: str, extra: list[str]) -> int:
    """Serve packets of images until the supervisor sends a count of 0.

    Parameters
    ----------
    socket_fd, arena_fd : int
        Inherited descriptors: the packet socket and the sealed memory.
    arena_size : int
        Bytes of the arena.
    folder : str
        The folder that holds ``model.py``; it comes before installed packages on the
        module path, and after the standard library.
    extra : list of str
        Folders of installed requirements, searched after it.

    Returns
    -------
    int
        Exit code 0. The supervisor does not rely on it.
    """
    _die_with_parent()
    channel = socket.socket(fileno=socket_fd)
    arena = mmap.mmap(arena_fd, arena_size, mmap.MAP_SHARED, mmap.PROT_READ)
    os.close(arena_fd)
    sys.path[:] = module_path(sys.path, extra)
    make_image = image_maker()
    sys.path[:] = module_path(sys.path, [folder])
    sys.argv[:] = [os.path.join(folder, "model.py")]  # noqa: PTH118
    try:
        model = load_model(folder)
        with faults_of("load-failed", folder):
            batch_size = find_batch_size(model)
        channel.send(b"R" + COUNT.pack(batch_size))
        serve(channel, arena, make_image, model, folder, batched=batch_size > 0)
    except FaultError as fault:
        tell(channel, fault)
    return 0


def module_path(path: list[str], folders: list[str]) -> list[str]:
    """Insert folders before the first one of installed packages.

    After the standard library, so that a helper of a submission called ``types.py``
    breaks nothing.
    """
    kept = [entry for entry in path if entry and entry not in folders]
    installed = ("site-packages", "dist-packages")
    first = next((i for i, entry in enumerate(kept) if entry.endswith(installed)), len(kept))
    return [*kept[:first], *folders, *kept[first:]]


def serve(
    channel: socket.socket,
    arena: mmap.mmap,
    make_image: Callable[..., Any],
    model: Any,
    folder: str,
    *,
    batched: bool,
) -> None:
    """Answer packets of images with packets of scores."""
    predict = predict_many if batched else predict_each
    while True:
        packet = channel.recv(LONGEST_PACKET)
        if len(packet) < COUNT.size or packet == COUNT.pack(0):
            return
        images = [make_image(arena, *entry) for entry in IMAGE.iter_unpack(packet[COUNT.size :])]
        scores = predict(model, images, folder)
        watched = [weakref.ref(image) for image in images]
        del images
        for reference in watched:
            detach(reference())
        channel.send(b"S" + struct.pack(f"<{len(scores)}d", *scores))


def detach(image: Any) -> None:
    """Give an image that the model has kept its own memory: the arena is used again."""
    # What a model has done to its own image is its own affair.
    with contextlib.suppress(Exception):
        if image is not None and image.readonly:
            image.im = image.im.copy()
            image.readonly = 0


def load_model(folder: str) -> Any:
    """Import ``model.py``, make a `Model` and call its ``load``."""
    path = os.path.join(folder, "model.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location("model", path)
    if spec is None or spec.loader is None:
        raise FaultError("model-import", "model.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Under this name, so that pickles of classes defined in model.py find them.
    sys.modules["model"] = module
    with faults_of("model-import", folder):
        spec.loader.exec_module(module)
    kind = getattr(module, "Model", None)
    if not callable(kind):
        raise FaultError("no-model-class", "model.py defines no class Model")
    for method in ("load", "predict"):
        if not callable(getattr(kind, method, None)):
            raise FaultError(f"no-{method}", f"class Model has no method {method}")
    with faults_of("load-failed", folder):
        model = kind()
        model.load()
    return model


def find_batch_size(model: Any) -> int:
    """Return how many images a call of ``predict_batch`` takes; 0 where there is none."""
    if not callable(getattr(model, "predict_batch", None)):
        return 0
    asked = getattr(model, "batch_size", DEFAULT_BATCH_SIZE)
    try:
        size = operator.index(asked)
    except TypeError:
        raise FaultError("batch-size", f"batch_size is {show(asked)}, not a whole number") from None
    if size < 1 or isinstance(asked, bool):
        raise FaultError("batch-size", f"batch_size is {show(asked)}; it must be 1 or more")
    return min(size, LARGEST_BATCH)


def predict_each(model: Any, images: list[Any], folder: str) -> list[float]:
    """Call ``predict`` on each image."""
    scores = []
    for position, image in enumerate(images):
        with faults_of("predict-failed", folder, position):
            answer = model.predict(image)
        with faults_of("bad-score", folder, position):
            scores.append(as_float(answer))
    return scores


def predict_many(model: Any, images: list[Any], folder: str) -> list[float]:
    """Call ``predict_batch`` once and check what it returns."""
    with faults_of("predict-failed", folder, 0):
        answers = model.predict_batch(list(images))
    with faults_of("bad-score", folder, 0):
        if len(images) == 1:
            # A model that squeezes its output gives a bare score for a batch of one.
            with contextlib.suppress(FaultError):
                return [as_float(answers)]
        if isinstance(answers, (str, bytes, dict, set, frozenset)) or not (
            hasattr(answers, "__len__") and hasattr(answers, "__getitem__")
        ):
            raise FaultError(
                "bad-score",
                f"predict_batch returned {show(answers)}, not a sequence of numbers",
                0,
            )
        shape = getattr(answers, "shape", None)
        count = len(answers) if shape is None or len(shape) > 0 else 0
        if count != len(images):
            raise FaultError(
                "batch-length",
                f"predict_batch returned {count} scores for {len(images)} images",
                0,
            )
    scores = []
    for position in range(len(images)):
        with faults_of("bad-score", folder, position):
            scores.append(as_float(answers[position]))
    return scores


def as_float(value: Any) -> float:
    """Return a score at full precision.

    Accepts what is one real number: float and int, NumPy scalars, arrays and
    tensors with no dimension or one element. NaN and infinities pass through
    here; the supervisor refuses them with their position.
    """
    number = value
    if not isinstance(value, (int, float)):
        shape = getattr(value, "shape", None)
        dates = getattr(getattr(value, "dtype", None), "kind", "f") in "mM"
        if shape is None or not hasattr(value, "item") or math.prod(shape) != 1 or dates:
            raise FaultError("bad-score", f"the score is {show(value)}, not a number")
        if hasattr(value, "detach"):
            value = value.detach()
        number = value.item()
        if type(number).__name__ == "longdouble":
            number = float(number)
        if not isinstance(number, (int, float)):
            raise FaultError("bad-score", f"the score is {show(value)}, not a real number")
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def show(value: Any) -> str:
    """Describe a value of the submission without trusting it: its type and shape."""
    kind = type(value)
    shape = getattr(value, "shape", None)
    text = "None" if value is None else f"a {kind.__module__}.{kind.__qualname__}"
    text = text.replace("a builtins.", "a ")
    if isinstance(value, (bool, int, float)):
        text += f" ({value!r:.40})"
    elif isinstance(value, (list, tuple)):
        text += f" of length {len(value)}"
    if isinstance(shape, tuple) and len(shape) < 8:
        text += f" of shape {tuple(shape)}"
    return text


@contextlib.contextmanager
def faults_of(code: str, folder: str, position: int = -1) -> Iterator[None]:
    """Turn whatever the submission raises into a `FaultError` with code, type, text and line."""
    try:
        yield
    except FaultError as fault:
        if fault.position < 0:
            fault.position = position
        raise
    except BaseException as error:
        print_traceback(error, folder)
        if isinstance(error, SystemExit):
            code = "model-exit"
        elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            code = "out-of-memory"
        raise FaultError(code, describe(error, folder), position) from None


def describe(error: BaseException, folder: str) -> str:
    """Name the exception, its text and the last line of the submission's own files."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:
        text = type(error).__name__
    text = text[:300]
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(folder + os.sep):
            place = f" ({os.path.relpath(frame.filename, folder)}, line {frame.lineno})"
    return text + place


def print_traceback(error: BaseException, folder: str) -> None:
    """Print a traceback that begins in the submission's own files, not here."""
    with contextlib.suppress(BaseException):
        trace = error.__traceback__
        while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(folder):
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace)


def tell(channel: socket.socket, fault: FaultError) -> None:
    """Send a fault; the supervisor bounds and cleans the text again."""
    text = fault.text.encode("utf-8", "replace")[:LONGEST_TEXT]
    with contextlib.suppress(OSError):
        channel.send(b"E" + fault.code.encode() + b"\0%d\0" % fault.position + text)


def image_maker() -> Callable[..., Any]:
    """Return the function that makes a Pillow image of a place in the arena.

    Mapping a buffer under any mode is private in Pillow, so it is tried once on
    known bytes; where it fails, the public call copies instead.
    """
    from PIL import Image

    pillow: Any = Image

    blank = {mode: Image.new(mode, (1, 1)) for mode in MAPPED_MODES}

    def mapped(buffer: Any, offset: int, width: int, height: int, mode_index: int) -> Any:
        mode = MODES[mode_index]
        if mode not in MAPPED_MODES:
            return copied(buffer, offset, width, height, mode_index)
        image: Any = blank[mode]._new(
            pillow.core.map_buffer(buffer, (width, height), "raw", offset, (mode, 0, 1))
        )
        # Pillow copies before it changes such an image.
        image.readonly = 1
        return image

    def copied(buffer: Any, offset: int, width: int, height: int, mode_index: int) -> Any:
        mode = MODES[mode_index]
        size = (width, height)
        data = buffer[offset : offset + stored_bytes(mode, width, height)]
        if mode == "RGB":
            return Image.frombuffer(mode, size, data, "raw", "RGBX", 0, 1).copy()
        return Image.frombytes(mode, size, data)

    try:
        trial = mapped(bytes(range(16)), 4, 2, 1, MODES.index("RGB"))
        works = trial.getpixel((1, 0)) == (8, 9, 10) and trial.mode == "RGB"
    except (AttributeError, TypeError, ValueError):
        works = False
    return mapped if works else copied


def stored_bytes(mode: str, width: int, height: int) -> int:
    """Return how many bytes an image takes in the arena."""
    if mode == "1":
        return (width + 7) // 8 * height
    per_pixel = {"L": 1, "LA": 2, "I;16": 2, "YCbCr": 3, "LAB": 3, "HSV": 3}.get(mode, 4)
    return per_pixel * width * height


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)


if __name__ == "__main__":
    _socket_fd, _arena_fd, _arena_size, _folder, *_extra = sys.argv[1:]
    sys.exit(main(int(_socket_fd), int(_arena_fd), int(_arena_size), _folder, _extra))
