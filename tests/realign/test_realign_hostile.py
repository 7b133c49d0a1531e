"""Hostile submissions get one plain line, in bounded time and memory, in every form.

Each goes through the scoring program and, as a file, a zip and a folder, through the check;
what is large in a process with 1 GiB of address space and 20 seconds of processor time.
"""

import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from realign_stage import CATALOGUE, ROOT, Stage, blue, red, write_blue, write_red

from mimicry.cli import main
from mimicry.realign import program
from mimicry.realign.rules import Team

LARGE = 100_000
SCRIPTS = {t: ROOT / f"scoring_program_{t}" / f"score_{t}.py" for t in ("blue", "red")}
SPACE = 1 << 30
SECONDS = 20


class Told(NamedTuple):
    code: int
    stdout: str
    stderr: str


def limited(*command: str) -> Told:
    """Run Python with limits of memory and processor time."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
        # A pool of threads would take the address space.
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")},
    )
    return Told(done.returncode, done.stdout, done.stderr)


def text(document: object) -> bytes:
    return json.dumps(document).encode()


def rows(count: int) -> bytes:
    row = '{"dataset_name":"imagenet_val","image_identifier":"nothing%07d"}'
    return b'{"images":[' + ",".join(row % i for i in range(count)).encode() + b"]}"


GOOD = text(blue("resnet50", "resnet50d", "vit_base"))


def more(pair: bytes, end: bytes = b"}") -> bytes:
    """Return a good submission with one more key and value."""
    return GOOD[:-1] + b"," + pair + end


def named(name: str) -> bytes:
    return text(blue(name, "resnet50d", "vit_base"))


HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("duplicate key", lambda: more(b'"models":[]'), "json-duplicate-key"),
    ("nan", lambda: more(b'"metadata":{"x":NaN}'), "json-number"),
    ("huge number", lambda: more(b'"metadata":{"x":1' + b"0" * 3_000_000 + b"}"), "json-number"),
    ("exponent", lambda: more(b'"metadata":{"x":1e999}'), "json-number"),
    ("comment", lambda: b"// ours\n" + GOOD, "json-syntax"),
    ("trailing comma", lambda: GOOD[:-2] + b",]}", "json-syntax"),
    ("trailing data", lambda: GOOD + GOOD, "json-syntax"),
    ("deep", lambda: b"[" * 4_000_000, "json-nesting"),
    ("deep metadata", lambda: more(b'"metadata":' + b'{"a":' * 600_000), "json-nesting"),
    ("mark", lambda: b"\xef\xbb\xbf" + GOOD, "json-encoding"),
    ("utf-16", lambda: GOOD.decode().encode("utf-16"), "json-encoding"),
    ("utf-32", lambda: GOOD.decode().encode("utf-32"), "json-encoding"),
    ("latin-1", lambda: more(b'"rationale":"caf\xe9"'), "json-encoding"),
    ("half a character", lambda: more(b'"rationale":"\\ud800"'), "json-character"),
    ("nul", lambda: more(b'"rationale":"\0"'), "json-character"),
    ("escape sequence", lambda: more(b'"rationale":"\\u001b[2J"'), "json-character"),
    ("empty", lambda: b"", "json-empty"),
    ("list", lambda: b"[1,2]", "json-not-object"),
    ("many lists", lambda: more(b'"metadata":[' + b"[]," * 500_000 + b"[]]"), "wrong-type"),
    ("many objects", lambda: more(b'"evidence":[' + b"{}," * 1_300_000 + b"1]"), ""),
    ("many rows", lambda: rows(50_000), "submission-invalid"),
    ("many wrong rows", lambda: b'{"models":[' + b"1," * 300_000 + b"1]}", "submission-invalid"),
    ("many keys", lambda: more(b",".join(b'"%d":1' % i for i in range(99_999))), "unknown-key"),
    ("a long name", lambda: named("x" * 3_000_000), "unknown-model"),
    ("a name that grows", lambda: named("ﷺ" * 600_000), "unknown-model"),
    ("look-alike", lambda: named("rеsnet50"), "unknown-model"),
    ("invisible", lambda: named("resnet\u200b50"), "unknown-model"),
    ("direction override", lambda: named("\u202e05tenser"), "unknown-model"),
    ("traversal", lambda: named("../../../dev/zero"), "unknown-model"),
    ("the same twice", lambda: named("vit_base"), "duplicate-model"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose public data let the check find what scoring finds."""
    root: Path = tmp_path_factory.mktemp("bundle")
    (root / "competition.yaml").write_text("version: 2\n")
    write_blue(root / "public_data" / "blue", optimum=None)
    write_red(root / "public_data" / "red", random=None)
    return root


def check_here(path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    code = main(["check", str(path), "--bundle", str(bundle)])
    return Told(code, *capsys.readouterr())


def check(path: Path, bundle: Path) -> Told:
    code = "import sys; from mimicry.cli import main; sys.exit(main(sys.argv[1:]))"
    return limited("-c", code, "check", str(path), "--bundle", str(bundle))


def assert_plain(told: Told, code: str) -> None:
    assert "Traceback" not in told.stdout + told.stderr
    assert all(line.isprintable() for line in (told.stdout + told.stderr).split("\n"))
    assert told.code == 3 and f"[{code}]" in told.stdout + told.stderr


@pytest.mark.parametrize(("make", "code"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
def test_one_plain_line_in_every_form(
    tmp_path: Path,
    bundle: Path,
    make: Callable[[], bytes],
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = make()
    large = len(data) > LARGE
    stage = Stage(tmp_path / "app")
    team: Team = "red" if b'"images"' in data[:20] else "blue"
    (write_red if team == "red" else write_blue)(stage.ref)
    path = stage.submit(data)
    folders = (str(stage.source), str(stage.output))
    if large:
        scored, checked = limited(str(SCRIPTS[team]), *folders), check(path, bundle)
    else:
        scored = Told(program.main(team, tmp_path, folders), *capsys.readouterr())
        checked = check_here(path, bundle, capsys)
    if not code:
        # As large as this, and nothing wrong with it.
        assert scored.code == 0 and checked.code == 0
        return
    assert_plain(scored, code)
    assert scored.stderr.count("\n") == 1 and len(scored.stderr) < 2500
    # The check tells every fault on a line of its own, and how many more there are.
    expected = code.replace("submission-invalid", "more-faults")
    assert_plain(checked, expected)
    archive = tmp_path / "team.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("wrapped/team.json", data)
    zipped = check_here(archive, bundle, capsys)
    assert zipped.stdout == checked.stdout.replace("team.json", "wrapped/team.json")
    folder = tmp_path / f"{team}_team_submissions"
    folder.mkdir()
    (folder / "team.json").write_bytes(data)
    assert_plain(check_here(folder, bundle, capsys), expected)


def test_hundreds_of_megabytes_are_refused_by_their_size(tmp_path: Path, bundle: Path) -> None:
    stage = Stage(tmp_path / "app")
    write_blue(stage.ref)
    path = stage.submit(GOOD)
    with path.open("r+b") as file:
        file.truncate(800 * 1024**2)
    told = limited(str(SCRIPTS["blue"]), str(stage.source), str(stage.output))
    assert_plain(told, "json-too-large")
    assert_plain(check(path, bundle), "json-too-large")
    folder = tmp_path / "blue_team_submissions"
    folder.mkdir()
    path.rename(folder / "team.json")
    assert_plain(check(folder, bundle), "json-too-large")
    bomb = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("team.json", "w", force_zip64=True) as member,
    ):
        for _ in range(300):
            member.write(b" " * 1024**2)
    assert_plain(check(bomb, bundle), "zip-bomb")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("team.json", b" " * 50 * 1024**2)
    assert_plain(check(bomb, bundle), "json-too-large")


def test_a_zip_that_lies_about_its_size(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("team.json", GOOD[:-1] + b" " * 8 * 1024**2 + b"}")
    data = path.read_bytes()
    true = (8 * 1024**2 + len(GOOD)).to_bytes(4, "little")
    assert data.count(true) == 2
    path.write_bytes(data.replace(true, (100).to_bytes(4, "little")))
    told = check_here(path, bundle, capsys)
    assert told.code == 3 and "Traceback" not in told.stderr


def test_two_files_or_a_wrong_teams_in_the_zip(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", GOOD)
        archive.writestr("b.json", GOOD)
    assert_plain(check_here(path, bundle, capsys), "several-json-files")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../a.json", GOOD)
    assert_plain(check_here(path, bundle, capsys), "zip-traversal")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", GOOD)
        archive.writestr("metadata", "")
    assert_plain(check_here(path, bundle, capsys), "submission-metadata")
    folder = tmp_path / "red_team_submissions"
    folder.mkdir()
    (folder / "team.json").write_bytes(GOOD)
    assert_plain(check_here(folder, bundle, capsys), "wrong-team")
    assert_plain(check_here(folder / "team.json", bundle, capsys), "wrong-team")
    (folder / "team.json").unlink()
    (folder / "team.json").symlink_to("/dev/zero")
    assert_plain(check_here(folder, bundle, capsys), "json-unreadable")


def test_unknown_stimuli_touch_no_file(tmp_path: Path) -> None:
    names = [
        "../../pipe",
        "/dev/zero",
        "/proc/self/mem",
        "C:\\x",
        "\\\\host\\x",
        "%2e%2e/x",
    ]
    document = red([])
    document["differentiating_images"] = [
        {"dataset_name": CATALOGUE[0]["dataset_name"], "image_identifier": name} for name in names
    ] + red(range(4))["differentiating_images"]
    stage = Stage(tmp_path / "app")
    write_red(stage.ref)
    stage.submit(document)
    # Whatever the program opens or lists goes by here.
    code = (
        f"import runpy, sys; sys.argv = [{str(SCRIPTS['red'])!r}, {str(stage.source)!r}, "
        f"{str(stage.output)!r}]; seen = []\n"
        "def hook(event, details):\n"
        "    if event.startswith(('open', 'os.')): seen.append(str(details))\n"
        "sys.addaudithook(hook)\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    odd = ('pipe', 'dev/zero', 'self/mem', 'C:', 'host', '2e%2e')\n"
        "    print(len(seen) > 20, [one for one in seen if any(name in one for name in odd)])\n"
    )
    told = limited("-c", code)
    assert_plain(told, "unknown-stimulus")
    assert told.stderr.count("is not in the catalogue's imagenet_val") == len(names)
    assert told.stdout.splitlines()[-1] == "True []"
