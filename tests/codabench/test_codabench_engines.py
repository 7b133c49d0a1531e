"""Engines run tiny programs as the platform's worker would."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mimicry.codabench.engines import (
    ENGINES,
    Engine,
    Job,
    UnknownEngineError,
    choose_engine,
    run_job,
)
from mimicry.codabench.engines.bubblewrap import bubblewrap_problem
from mimicry.codabench.engines.jobs import (
    below,
    parse_metadata,
    program_command,
    read_metadata,
    split_command,
)
from mimicry.codabench.engines.watch import BoundedLog
from mimicry.errors import BundleError

INGESTION = ("program", "ingested_program", "input_data", "output", "data")


def make_job(tmp_path: Path, script: str, **changes: object) -> Job:
    root = tmp_path / "root"
    for name in INGESTION:
        (root / "app" / name).mkdir(parents=True)
    (root / "app" / "program" / "main.py").write_text(script)
    job = Job(
        root=root,
        command="python3 /app/program/main.py /app/input_data /app/output",
        kind="ingestion",
        stdout=tmp_path / "stdout.txt",
        stderr=tmp_path / "stderr.txt",
        seconds=20,
    )
    return replace(job, **changes)


ALL = ["subprocess", "bubblewrap", "docker"]


@pytest.fixture(params=ALL)
def engine(request: pytest.FixtureRequest) -> Engine:
    return usable(request.param, request)


def usable(name: str, request: pytest.FixtureRequest) -> Engine:
    """Return an engine, or skip where it does not work; Docker runs the competition's image."""
    if name == "bubblewrap" and (problem := bubblewrap_problem()):
        pytest.skip(problem)
    if name != "docker":
        return ENGINES[name]
    image = request.getfixturevalue("core_image")
    docker = ENGINES[name]
    return replace(docker, run=lambda job: docker.run(replace(job, image=image)))


def alive(marker: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in words and state != "Z":
                found.append(int(entry.name))
    return found


def wait_until_gone(marker: str, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while alive(marker) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(marker)


def test_folders_arguments_environment_and_exit_code(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, sys, json\n"
        "from pathlib import Path\n"
        "inputs, output = map(Path, sys.argv[1:])\n"
        "facts = {'cwd': os.getcwd(), 'here': str(Path(__file__).parent)}\n"
        "facts['input'] = [p.name for p in inputs.iterdir()]\n"
        "facts |= {'env': dict(os.environ), 'stdin': sys.stdin.read()}\n"
        "(output / 'facts.json').write_text(json.dumps(facts))\n"
        "print('out'); print('err', file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    lines: list[str] = []
    job = make_job(tmp_path, script, environment={"MIMICRY_TIME_LIMIT": "5"}, echo=lines.append)
    (job.app / "input_data" / "a.jpg").write_bytes(b"x")
    monkeypatch.setenv("MIMICRY_TEST_SECRET", "hunter2")
    result = run_job(engine, job)
    assert result.exit_code == 7
    assert not result.timed_out
    facts = json.loads((job.app / "output" / "facts.json").read_text())
    assert facts["cwd"] == facts["here"]
    local = engine.name == "subprocess"
    assert facts["cwd"] == (f"{job.app}/program" if local else "/app/program")
    assert facts["input"] == ["a.jpg"]
    assert facts["stdin"] == ""
    assert facts["env"]["PYTHONUNBUFFERED"] == "1"
    assert facts["env"]["MIMICRY_TIME_LIMIT"] == "5"
    assert "MIMICRY_TEST_SECRET" not in facts["env"]
    if engine.name != "docker":
        allowed = {"PYTHONUNBUFFERED", "PATH", "HOME", "LANG", "TMPDIR", "MIMICRY_TIME_LIMIT"}
        # The interpreter adds LC_CTYPE, bubblewrap PWD.
        assert set(facts["env"]) <= allowed | {"LC_CTYPE", "PWD"}
    assert job.stdout.read_text() == "out\n"
    assert job.stderr.read_text() == "err\n"
    assert sorted(lines) == ["err", "out"]


def test_command_is_not_run_by_a_shell(tmp_path: Path, engine: Engine) -> None:
    job = make_job(tmp_path, "import sys; print(sys.argv[1:])")
    job = replace(job, command="python3 main.py '$HOME x' && echo *.py $output")
    assert run_job(engine, job).exit_code == 0
    output = f"{job.app}/output" if engine.name == "subprocess" else "/app/output"
    assert job.stdout.read_text() == f"['$HOME x', '&&', 'echo', '*.py', '{output}']\n"


def test_time_limit_ends_the_program_and_its_descendants(tmp_path: Path, engine: Engine) -> None:
    marker = f"86400.{os.getpid()}{len(engine.name)}"
    script = (
        "import subprocess, time\n"
        f"subprocess.Popen(['sleep', '{marker}'], start_new_session=True)\n"
        f"subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep {marker} & wait'])\n"
        "print('started'); time.sleep(60)\n"
    )
    result = run_job(engine, make_job(tmp_path, script, seconds=1.0))
    assert result.timed_out
    assert 1.0 <= result.seconds < 10
    assert result.exit_code == 137
    assert (tmp_path / "stdout.txt").read_text() == "started\n"
    assert wait_until_gone(marker)


def test_nothing_is_left_after_a_program_that_ended(tmp_path: Path, engine: Engine) -> None:
    marker = f"86401.{os.getpid()}{len(engine.name)}"
    script = (
        "import os, subprocess\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    subprocess.Popen(['sleep', '{marker}']); os._exit(0)\n"
    )
    started = time.monotonic()
    assert run_job(engine, make_job(tmp_path, script)).exit_code == 0
    # The orphan holds both pipes open; it is ended, not waited for.
    assert time.monotonic() - started < 10
    assert wait_until_gone(marker)


def test_a_signal_counts_as_in_a_container(tmp_path: Path, engine: Engine) -> None:
    job = make_job(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    code = run_job(engine, job).exit_code
    # As process 1 of a namespace the program cannot signal itself to death.
    assert code == (128 + signal.SIGSEGV if engine.name == "subprocess" else 0)


@pytest.mark.parametrize("name", ALL)
def test_a_killed_caller_leaves_nothing(
    tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    usable(name, request)
    image = request.getfixturevalue("core_image") if name == "docker" else ""
    marker = f"86402.{os.getpid()}{len(name)}"
    make_job(tmp_path, f"import subprocess; subprocess.run(['sleep', '{marker}'])")
    code = (
        "from pathlib import Path\n"
        "from mimicry.codabench.engines import Job, choose_engine, run_job\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "run_job(choose_engine("
        f"{name!r}), Job(folder / 'root', 'python3 main.py', 'ingestion',"
        f" folder / 'o', folder / 'e', image={image!r}))\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 10
    while not alive(marker) and time.monotonic() < end:
        time.sleep(0.02)
    assert alive(marker)
    caller.kill()
    caller.wait()
    assert wait_until_gone(marker)


def test_a_missing_program_is_told(tmp_path: Path, engine: Engine) -> None:
    job = replace(make_job(tmp_path, ""), command="no-such-program-here")
    assert run_job(engine, job).exit_code != 0
    assert "no-such-program-here" in job.stderr.read_text()


def test_logs_are_bounded_and_keep_both_ends(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", head=10, tail=10)
    for number in range(100):
        log.write(b"%02d" % number)
    log.close()
    text = (tmp_path / "log").read_text()
    assert text.startswith("0001020304\n[... ")
    assert text.endswith("9596979899")
    assert log.left_out == 200 - 20
    short = BoundedLog(tmp_path / "short", head=10, tail=10)
    short.write(b"0123456789abc")
    short.close()
    assert (tmp_path / "short").read_bytes() == b"0123456789abc"


def test_a_flood_does_not_fill_the_disk(tmp_path: Path, engine: Engine) -> None:
    script = (
        "import os\nfor _ in range(64): os.write(1, b'xxx\\n' * 16384)\nos.write(1, b'the end')\n"
    )
    lines: list[str] = []
    result = run_job(engine, make_job(tmp_path, script, echo=lines.append))
    assert len(lines) <= 2000
    assert result.log_cut
    assert (tmp_path / "stdout.txt").stat().st_size < 1.4 * 1024 * 1024
    assert (tmp_path / "stdout.txt").read_bytes().endswith(b"the end")


def test_bubblewrap_walls(tmp_path: Path) -> None:
    if problem := bubblewrap_problem():
        pytest.skip(problem)
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    script = (
        "import os, socket, sys\n"
        "def tries(name, action):\n"
        "    try: action()\n"
        "    except OSError: print(name, 'refused')\n"
        "    else: print(name, 'possible')\n"
        f"tries('secret', lambda: open({str(secret)!r}))\n"
        "tries('system', lambda: open('/usr/x', 'w'))\n"
        "tries('python', lambda: open(os.path.join(sys.prefix, 'x'), 'w'))\n"
        "tries('data', lambda: open('/app/data/x', 'w'))\n"
        "tries('reference', lambda: os.listdir('/app/input'))\n"
        "tries('network', lambda: socket.create_connection(('127.0.0.1', 9), 1))\n"
        "tries('tmp', lambda: open('/tmp/x', 'w'))\n"
        "tries('shm', lambda: open('/dev/shm/x', 'w'))\n"
        "tries('home', lambda: open(os.path.expanduser('~/x'), 'w'))\n"
        "tries('output', lambda: open('/app/output/x', 'w'))\n"
        "print(os.getpid(), [line.split()[1] for line in open('/proc/self/status')\n"
        "  if line.startswith('CapEff')])\n"
        "print([name for name in os.listdir('/sys/class/net')] if os.path.exists('/sys/class')\n"
        "  else 'no network devices')\n"
    )
    job = make_job(tmp_path, script)
    assert run_job(ENGINES["bubblewrap"], job).exit_code == 0, job.stderr.read_text()
    said = dict(line.split(" ", 1) for line in job.stdout.read_text().splitlines())
    for name in ("secret", "system", "python", "data", "reference", "network"):
        assert said[name] == "refused", name
    for name in ("tmp", "shm", "home", "output"):
        assert said[name] == "possible", name
    assert said["1"] == "['0000000000000000']"


def test_engines_are_chosen_by_name() -> None:
    assert choose_engine("subprocess") is ENGINES["subprocess"]
    best = "bubblewrap" if bubblewrap_problem() is None else "subprocess"
    assert choose_engine("auto", "mimicry.example/no-such-image:1").name == best
    with pytest.raises(UnknownEngineError, match="auto, docker, bubblewrap, subprocess"):
        choose_engine("podman")


def test_an_engine_that_does_not_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    bubblewrap_problem.cache_clear()
    try:
        with pytest.raises(BundleError, match="not installed; install it") as caught:
            choose_engine("bubblewrap")
        assert caught.value.code == "engine-unavailable"
        assert choose_engine("auto", "mimicry.example/no-such-image:1").name == "subprocess"
    finally:
        bubblewrap_problem.cache_clear()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ingestion", ["/app/input_data", "/app/output", "/app/program/x.py", "/app/program"]),
        ("scoring", ["/app/input", "/app/output", "/app/program/x.py", "/app/program"]),
    ],
)
def test_legacy_variables(kind: str, expected: list[str]) -> None:
    command = "$input $output $program/x.py $ingestion_program"
    assert split_command(command, kind) == expected  # type: ignore[arg-type]
    rest = "$hidden $shared $submission_program $tmp"
    assert split_command(rest, kind) == [  # type: ignore[arg-type]
        *("/app/input/ref", "/app/shared", "/app/ingested_program", "/app/output")
    ]
    predictions = "/app/input/res" if kind == "scoring" else "/app/output"
    assert split_command("$predictions", kind) == [predictions]  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["python3 'x", "  "])
def test_bad_commands_are_the_organisers(command: str) -> None:
    with pytest.raises(BundleError) as caught:
        split_command(command, "scoring")
    assert caught.value.code == "program-command"


def test_app_paths_move_below_the_root() -> None:
    root = Path("/r")
    assert below(root, "/app/input") == "/r/app/input"
    assert below(root, "--in=/app") == "--in=/r/app"
    assert below(root, "/application/app/x") == "/application/app/x"


def test_metadata_is_read_as_the_worker_does(tmp_path: Path) -> None:
    assert read_metadata(tmp_path).name is None
    (tmp_path / "metadata").write_text("command: old")
    assert read_metadata(tmp_path).command == "old"
    (tmp_path / "metadata.yaml").write_text("description: x")
    assert read_metadata(tmp_path) == ("metadata.yaml", None, "has no `command`")
    with pytest.raises(BundleError, match=r"p/metadata\.yaml has no `command`"):
        program_command(tmp_path, "p")


@pytest.mark.parametrize(
    "data",
    [b"", b"- a", b"{", b"\xff", b"a: 2024-99-99", b"!!timestamp x", b"[" * 5000, b"x: &a *a"],
)
def test_odd_metadata_has_no_command(data: bytes) -> None:
    assert parse_metadata("metadata", data).command is None


def test_merge_keys_that_multiply_are_no_command() -> None:
    lines = ["a0: &a0 {x: 1}"]
    for number in range(1, 30):
        lines.append(f"a{number}: &a{number} {{<<: [*a{number - 1}, *a{number - 1}]}}")
    started = time.process_time()
    assert parse_metadata("metadata", "\n".join([*lines, "command: x"]).encode()).command is None
    assert time.process_time() - started < 2
    assert parse_metadata("metadata", b"b: &b {command: x}\n<<: *b\n").command == "x"


@pytest.mark.parametrize(
    "number", ["0x" + "f" * 6000, "1" + ":59" * 30_000, "9" * 6000, "1." + "0" * 500]
)
def test_numbers_without_end_cost_nothing(number: str) -> None:
    started = time.process_time()
    assert parse_metadata("metadata", f"a: {number}\ncommand: x".encode()).command is None
    assert time.process_time() - started < 2
    assert parse_metadata("metadata", f"a: '{number}'\ncommand: x".encode()).command == "x"
