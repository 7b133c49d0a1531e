"""A submission's ``requirements.txt`` against the organiser's list."""

from fuzzing_checks import ACCEPTED, scratch, submission_fault
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mimicry.ingestion.pins import pins_that_may_give_way
from mimicry.ingestion.requirements import (
    REQUIREMENTS_FILE,
    check_requirements,
    holds,
    read_allowed,
    read_requirements,
)

INSTALLED = {"torch": "2.13.0", "numpy": "2.4.6", "pillow": "13.0.0"}
ALLOWED_TEXT = "torch>=2.2,<3\nnumpy\npillow>=9\nscikit-learn>=1.2\nopen_clip_torch>=2.24\n"

VALID = [
    b"",
    b"# nothing\n\n",
    b"torch>=2.3\nNumPy\nscikit_learn==1.9.1  # a comment\n",
    b"torch==2.3.0\ntorch == 2.3\npillow==9.9\n",
    b'numpy>=1; python_version < "3"\nnope; sys_platform == "win32"\n',
    "numpy\n".encode("utf-16"),
    b"\xef\xbb\xbfnumpy>=1.26,\\\n<3\n",
    b"scikit-learn~=1.9\nopen-clip-torch[training]>=2.24,!=2.25.*\n",
    b"numpy>=" + b"9" * 290 + b"\n",
    b"numpy; python_version > '\x1b[31m'\n",
]
NASTY = [
    b"-r other.txt\n--index-url http://x/\n-e .\n",
    b"torch @ file:///etc/passwd\n",
    b"https://example.org/x.whl\n",
    b"numpy; os_name == 'posix' and extra == 'x' or python_version ~= 'x'\nevil>=1\n",
    b"torch>=3\n",
    b"numpy" + b"," * 200,
    b"numpy==" + b"9" * 5000 + b"\n",
    b"torch" + b",".join(b">%d" % n for n in range(70)) + b"\n",
    b"numpy; " + b"(" * 140 + b"python_version>'3'" + b")" * 140,
    b"pytorch\nsklearn\ncv2\n\xe2\x80\xaeevil\n",
    b"\xff\xfen",
    b"numpy\0\n",
    (" " * 4000 + "x").encode(),
    b"a\\\n" * 1000,
    b"numpy===" + b"x" * 100,
]
WORDS = [
    *(b"torch", b"numpy", b"pillow", b"scikit-learn", b"==", b">=", b"~=", b"!=", b"===", b".*"),
    *(b"; python_version", b"; extra == 'x'", b"; sys_platform == 'linux'", b" and ", b" or "),
    *(b"[extra]", b" @ ", b"file:///", b"\\\n", b" #", b"-r ", b"\xff\xfe", b"1!2.0.post1.dev2+a"),
]
SHARE = 6


def judge(data: bytes) -> str:
    """Read `data` as a requirements file, check what comes of it and return its outcome."""
    folder = scratch("requirements")
    if not (allowed_file := folder / "allowed.txt").exists():
        allowed_file.write_text(ALLOWED_TEXT, encoding="utf-8")
    (folder / REQUIREMENTS_FILE).write_bytes(data)
    allowed = read_allowed(allowed_file)
    text, error = submission_fault(lambda: read_requirements(folder))
    if error is not None:
        return error.code
    missing, error = submission_fault(lambda: check_requirements(text, allowed, INSTALLED.get))
    if error is not None:
        return error.code
    for line in missing:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        # Nothing but allowed packages, by name and version, ever reaches the installer.
        assert name in allowed or wanted.extras or name not in ALLOWED_TEXT, line
        assert wanted.url is None and wanted.marker is None and line.isprintable(), line
        assert not line.startswith("-") and len(line) < 1000
        if name in allowed:
            assert set(allowed[name]) <= set(wanted.specifier), line
    for line, pin in pins_that_may_give_way(text, allowed, INSTALLED.get).items():
        assert line in missing and pin.told().isprintable()
        assert INSTALLED[canonicalize_name(pin.name)] == pin.here
        assert holds(allowed[canonicalize_name(pin.name)], pin.here)
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
