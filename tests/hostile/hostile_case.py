"""What a case of the corpus is, and the registry of all of them."""

import io
import secrets
import textwrap
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

FINISHED = "finished"
ENGINES = ("subprocess", "bubblewrap", "docker")

Files = Mapping[str, str | bytes]


@dataclass(frozen=True)
class Case:
    """One hostile or broken submission and what must become of it.

    Attributes
    ----------
    name : str
        In lower-case-with-hyphens; ``docs/security.md`` lists it.
    does : str
        What it does, in one line.
    archive : bytes
        The zip as a participant would upload it.
    expected : str
        ``finished`` with the honest model's predictions, or the code of a `SubmissionError`.
    elsewhere : mapping
        Engine -> expectation that differs there; `reason` says why.
    reason : str
        Why engines differ.
    limit : float
        The phase's time limit in seconds.
    full : bool
        Whether it is scored with all metrics and the full page. Otherwise a
        scoring program that reads the same but computes less stands in.
    engines : sequence of str
        Where it runs. What is refused before any program starts runs once.
    network : bool
        Whether the container has one, as on a default worker.
    memory : int or None
        Bytes that the container may use, on engines that can tell.
    pids : int or None
        Processes that the container may have, on engines that can tell.
    says : sequence of str
        Parts of the sentence.
    logs : sequence of str
        What must stand in the private log, so that an attack that never ran is noticed.
    """

    name: str
    does: str
    archive: bytes
    expected: str = FINISHED
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    limit: float = 60.0
    full: bool = False
    engines: Sequence[str] = ENGINES
    network: bool = False
    memory: int | None = None
    pids: int | None = None
    says: Sequence[str] = ()
    logs: Sequence[str] = ()

    def outcome(self, engine: str) -> str:
        """Return what must become of it on `engine`."""
        return self.elsewhere.get(engine, self.expected)


CASES: dict[str, Case] = {}


def add(name: str, does: str, content: bytes | Files, expected: str = FINISHED, **more: object):
    """Register a case; files are zipped, beside an empty ``metadata`` unless they bring one."""
    if name in CASES:
        raise ValueError(f"two cases are called {name}")
    if not isinstance(content, bytes):
        files = dict(content)
        if not {"metadata", "metadata.yaml"} & set(files) and more.pop("metadata", True):
            files["metadata"] = ""
        content = zip_of(files)
    CASES[name] = Case(name, does, content, expected, **more)  # type: ignore[arg-type]


def zip_of(files: Files, change: Callable[[zipfile.ZipInfo], None] | None = None) -> bytes:
    """Return a zip of `files`, every entry passed through `change` first."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            if change is not None:
                change(entry)
            archive.writestr(entry, content)
    return buffer.getvalue()


# The name of every process that a case leaves behind; threads and forks inherit it.
MARK = f"hst-{secrets.token_hex(5)}"

# Honest to the last digit and cheap: no NumPy. `attack` names what came of each attempt
# in the private log: a line that begins with LEAK is a hole.
_MODEL = '''\
import ctypes, os, signal, socket, struct, sys, threading, time
from PIL import ImageStat

MARK = "@mark@"
HERE = os.path.dirname(os.path.abspath(__file__))
# Where the folders of a run lie: in a container, and beside the submission anywhere.
PLACES = ["/app", os.path.dirname(HERE)]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, MARK.encode(), 0, 0, 0)


def call(number, *words):
    """A system call by its number on this processor; raises what it sets."""
    words = [ctypes.c_long(w) if isinstance(w, int) else w for w in words]
    found = libc.syscall(ctypes.c_long(number), *words)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def attack(what, action):
    """Try something; whatever it gives back counts as a hole, unless it is empty or false."""
    try:
        found = action()
    except BaseException as error:
        print("REFUSED", what, type(error).__name__, flush=True)
        return None
    if not found:
        print("NOTHING", what, flush=True)
        return None
    print("LEAK", what, ascii(found)[:200], flush=True)
    return found


def honest(image):
    return ImageStat.Stat(image.convert("L")).mean[0]


class Model:
    def load(self):
        self.count = 0
@load@

    def predict(self, image):
        self.count += 1
@predict@
        return honest(image)
'''


def model(load: str = "", predict: str = "", head: str = "", tail: str = "") -> str:
    """Return the source of an honest model that does something else beside.

    Parameters
    ----------
    load, predict : str
        Lines of the methods of the same name; ``self.count`` counts the images.
    head, tail : str
        Before and after the class.
    """
    source = _MODEL.replace("@load@", _indented(load)).replace("@predict@", _indented(predict))
    before, keyword, after = source.replace("@mark@", MARK).partition("class Model:")
    return f"{before}{head.strip()}\n\n\n{keyword}{after}\n\n{tail.strip()}\n"


def _indented(lines: str) -> str:
    return textwrap.indent(textwrap.dedent(lines).strip("\n"), "        ")
