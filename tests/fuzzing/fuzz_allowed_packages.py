"""The organiser's list of packages that submissions may ask for."""

from fuzzing_checks import ACCEPTED, bundle_fault, scratch
from packaging.utils import canonicalize_name

from mimicry.ingestion.requirements import read_allowed

VALID = [
    b"",
    b"# all\ntorch>=2.2,<3\n\nnumpy\nPillow>=9.4  # pictures\n",
    b"scikit_learn>=1.2,\\\n<2\n",
]
NASTY = [
    b"torch\nTorch>=2\n",
    b"torch @ https://example.org/x.whl\n",
    b"torch; python_version > '3'\n",
    b"torch[all]\n",
    b"-r more.txt\n",
    b"\xff\xfe",
    b"torch>=2,,<3\n",
    b"torch" + b"(" * 2000,
    b"\x1b[31m\n",
    b"torch>=" + b"9" * 4500,
    (" " * 4000 + "x y").encode(),
]
WORDS = [b"torch", b">=", b"<", b"==", b"; ", b" @ ", b"[x]", b"\\\n", b" #", b".*", b"~=", b"==="]
SHARE = 5


def judge(data: bytes) -> str:
    """Read `data` as the list, check what comes of it and return its outcome."""
    path = scratch("allowed") / "allowed_packages.txt"
    path.write_bytes(data)
    allowed, error = bundle_fault(lambda: read_allowed(path))
    if error is not None:
        return error.code
    for name, versions in allowed.items():
        assert name == canonicalize_name(name) and name.isascii() and name.isprintable()
        assert versions.contains("2.13.0", prereleases=True) in (True, False)
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
