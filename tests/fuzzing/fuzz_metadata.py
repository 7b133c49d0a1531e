"""A program's ``metadata.yaml``, and the command line that the worker makes of it."""

from fuzzing_checks import ACCEPTED, bundle_fault, check_sentence

from mimicry.codabench.engines.jobs import parse_metadata, split_command
from mimicry.codabench.program_command import command_faults

FILES = ("metadata.yaml", "score.py", "lib/x.py")

VALID = [
    b"command: python3 /app/program/score.py /app/input /app/output\n",
    b"command: \"python3 '/app/program/score.py' $input $output\"\n",
    b"description: x\ncommand: python3 $program/score.py $hidden $tmp\nimage: y\n",
    b"command: python3 score.py; rm -rf /\n",
    b"command: " + b"a " * 1900,
    b'command: "\\u001b[31m\\u202e"\n',
]
NASTY = [
    b"",
    b"command:\n",
    b"command: []\n",
    b"command: 3\n",
    b"command: 'python3 \"score.py'\n",
    b"command: ' '\n",
    b'command: "a\\0b"\n',
    b'command: "a\\ud800"\n',
    b"- 1\n",
    b"\xff",
    b"a: &a {<<: *a}\ncommand: x\n",
    b"command: &a [*a]\n",
    b"command: !!binary AA==\n",
    b"a: 2026-13-45\ncommand: x\n",
    b"[" * 900,
]
WORDS = [
    *(b"command: ", b"python3 ", b"/app/program/", b"$input", b"$program", b"$hidden", b"\\\\"),
    *(b"'", b'"', b"&&", b" | ", b"~", b"`", b"*", b"!!binary ", b"\\0", b"\\ud800", b"cd "),
]
SHARE = 4
LONGEST = 4096


def judge(data: bytes) -> str:
    """Read `data` as metadata, check what comes of it and return its outcome."""
    metadata = parse_metadata("metadata.yaml", data)
    assert (metadata.command is None) == (metadata.problem is not None)
    kinds: list[str] = []
    for kind in ("ingestion", "scoring"):
        for fault in command_faults(metadata, FILES, kind):
            check_sentence(fault.code)
            assert fault.problem and fault.mend and len(fault.problem) < 20_000
            kinds.append(fault.code)
    if metadata.command is None:
        check_sentence(metadata.problem or "")
        assert "program-metadata" in kinds
        return "program-metadata"
    words, error = bundle_fault(lambda: split_command(metadata.command, "scoring"))
    if error is not None:
        return error.code
    assert words and all("\0" not in word for word in words)
    for word in words:
        word.encode("utf-8")
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
