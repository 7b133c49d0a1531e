"""Starting the model's process and speaking with it."""

import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import mimicry
from mimicry.errors import SubmissionError
from mimicry.ingestion import faults, runner
from mimicry.ingestion.arena import Arena
from mimicry.ingestion.images import InputImage
from mimicry.ingestion.isolation import confine
from mimicry.ingestion.isolation.plan import Walls, find_access, find_limits

# What of the program's own environment a participant's code gets to see. Tokens
# and passwords of a machine that runs a dry run stay out.
_PASSED_ON = frozenset(
    {
        "PATH",
        "LANG",
        "LANGUAGE",
        "TZ",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "TORCH_HOME",
        "XDG_CACHE_HOME",
    }
)
_PASSED_ON_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "NUMEXPR_")

LONGEST_ANSWER = 1 + 8 * runner.LARGEST_BATCH


class Ready(NamedTuple):
    """The model has loaded; `batch_size` is 0 where it takes one image a call."""

    batch_size: int


class Scores(NamedTuple):
    """The scores of the oldest packet that was still unanswered; not yet checked."""

    values: tuple[float, ...]


class Failed(NamedTuple):
    """A fault that the model's process reported."""

    code: str
    position: int
    text: str


Message = Ready | Scores | Failed


class ModelProcess(NamedTuple):
    """The running process and this side of its channel (non-blocking).

    `control` leads to the program that confines itself before it becomes the model's
    process: it gives its report, and waits for `confine.GO`. `writable` are the folders
    that the model may fill.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    control: socket.socket
    writable: tuple[Path, ...]

    def send_images(
        self, images: Sequence[InputImage], places: Sequence[tuple[int, int, int]]
    ) -> bool:
        """Send a packet of images; False when the model has to read others first."""
        packet = bytearray(runner.COUNT.pack(len(images)))
        for image, place in zip(images, places, strict=True):
            packet += runner.IMAGE.pack(*place, runner.MODES.index(image.mode))
        try:
            self.channel.send(packet)
        except BlockingIOError:
            return False
        except OSError:
            # It has closed its end; how it ended is found out by reading.
            return True
        return True

    def receive(self) -> Message | None:
        """Read one message; None when the process has closed its end.

        Raises
        ------
        BlockingIOError
            Nothing is there yet.
        SubmissionError
            ``model-interfered``: it is no message that the runner sends.
        """
        try:
            packet = self._receive_packet()
        except BlockingIOError:
            raise
        except OSError:
            return None
        return parse(packet) if packet else None

    def _receive_packet(self) -> bytes:
        try:
            return self.channel.recv(LONGEST_ANSWER + 1)
        except ConnectionResetError:
            # It ended with images unread. The kernel says so once, before it hands
            # over what was sent earlier, such as the fault it ended with.
            return self.channel.recv(LONGEST_ANSWER + 1)


def parse(packet: bytes) -> Message:
    """Read a message of the model's process, believing nothing.

    Raises
    ------
    SubmissionError
        ``model-interfered``.
    """
    kind, body = packet[:1], packet[1:]
    if kind == b"R" and len(body) == runner.COUNT.size:
        (batch_size,) = runner.COUNT.unpack(body)
        if batch_size <= runner.LARGEST_BATCH:
            return Ready(batch_size)
    if kind == b"S" and body and len(body) % 8 == 0 and len(packet) <= LONGEST_ANSWER:
        return Scores(struct.unpack(f"<{len(body) // 8}d", body))
    if kind == b"E" and body.count(b"\0") >= 2:
        code, position, text = body.split(b"\0", 2)
        if code.isascii() and re.fullmatch(rb"-?[0-9]{1,6}", position):
            return Failed(code.decode("ascii"), int(position), text.decode("utf-8", "replace"))
    raise faults.interference(f"{len(packet)} bytes that are no answer")


def start_model(
    folder: Path, extra: Sequence[str], arena: Arena, scratch: Path, output: int, walls: Walls
) -> ModelProcess:
    """Start the process that will load and run a submission, once it has confined itself.

    Parameters
    ----------
    folder : Path
        Holds ``model.py``; becomes the working directory.
    extra : sequence of str
        Folders of installed requirements.
    arena : Arena
        Its descriptor is inherited, this process's writable mapping is not.
    scratch : Path
        A private folder for its home and its temporary files.
    output : int
        Descriptor of the pipe for its stdout and stderr.
    walls : Walls
        What it must not have.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control, its_control = socket.socketpair()
    for side in (here, there):
        # Both directions must hold the longest packet.
        side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * runner.LONGEST_PACKET)
    here.setblocking(False)
    home = scratch / "home"
    home.mkdir(mode=0o700)
    environment = model_environment(os.environ, home)
    access = find_access(walls.layout, scratch, home, extra, walls.weights, environment)
    source = Path(runner.__file__).read_text(encoding="utf-8")
    plan = confine.Plan(
        command=[
            # -P keeps the submission's folder off the path until the runner has its modules.
            *(sys.executable, "-P", "-c", source, str(there.fileno()), str(arena.descriptor)),
            *(str(arena.size), str(folder), *extra),
        ],
        environment=environment,
        readable=access.readable,
        unprivileged=access.unprivileged,
        writable=access.writable,
        devices=access.devices,
        network=walls.network,
        supervisor=os.getpid(),
        group=os.getpgid(0),
        limits=find_limits(walls.disk_limit),
    )
    # Without the packages of this Python (-S) it starts in a few hundredths of a second.
    program = (sys.executable, "-P", "-S", "-m", "mimicry.ingestion.isolation.confine")
    with there, its_control:
        process = subprocess.Popen(
            [*program, str(its_control.fileno()), plan.to_json()],
            cwd=folder,
            env={"PYTHONPATH": str(Path(mimicry.__file__).resolve().parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(there.fileno(), its_control.fileno(), arena.descriptor),
            start_new_session=True,
        )
    return ModelProcess(process, here, control, tuple(map(Path, access.on_disk)))


def model_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment of the model's process.

    Its home and temporary folder are private, but caches of weights that lie in
    the container's home stay reachable.
    """
    passed = {
        name: value
        for name, value in environment.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    cache = Path(environment.get("HOME", "/root")) / ".cache"
    for variable, folder in (("HF_HOME", "huggingface"), ("TORCH_HOME", "torch")):
        if variable not in passed and (cache / folder).is_dir():
            passed[variable] = str(cache / folder)
    return passed | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONUNBUFFERED": "1",
        # Threads of torch that wait for each other sleep instead of spinning: what they
        # spin away, the threads that decode the next images need.
        "OMP_WAIT_POLICY": passed.get("OMP_WAIT_POLICY", "PASSIVE"),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Large buffers are kept for the next image instead of being returned to the
        # kernel and faulted in again: half of the time of copying large images.
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    }


def interfered(message: Message) -> SubmissionError:
    """Return the error for a message of the right form at the wrong time."""
    return faults.interference(f"a message ({type(message).__name__}) out of turn")
