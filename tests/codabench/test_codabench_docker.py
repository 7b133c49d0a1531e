"""Containers as the platform's worker makes them, seen from inside and from outside."""

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from codabench_minibundle import copy_repository

from mimicry.cli import main
from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES, Job, JobStoppedError, Resources, docker_guard
from mimicry.codabench.engines.docker import DROPPED, run_docker
from mimicry.codabench.engines.docker_client import docker_client, image_here, prepare_image
from mimicry.codabench.engines.docker_guard import OWNER_LABEL, owner_label, remove_orphans
from mimicry.codabench.records import read_run
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission
from mimicry.errors import BundleError

pytestmark = pytest.mark.usefixtures("core_image", "competition_image")

# Writes down all that a program can see of its container.
LOOK = """
import json, os, sys
from pathlib import Path
facts = {"cwd": os.getcwd(), "uid": os.getuid(), "environment": dict(os.environ)}
facts["argv"] = sys.argv[1:]
status = dict(l.split(":\\t", 1) for l in Path("/proc/self/status").read_text().splitlines())
facts |= {k: status[k].strip() for k in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
mounts = {}
for line in Path("/proc/self/mountinfo").read_text().splitlines():
    fields = line.split()
    if fields[4].startswith("/app"):
        mounts[fields[4]] = fields[5].split(",")[0]
facts["mounts"] = mounts
facts["folders"] = sorted(str(p) for p in Path("/app").glob("*")) + sorted(
    str(p) for p in Path("/app/input").glob("*"))
facts["interfaces"] = sorted(os.listdir("/sys/class/net"))
shm = os.statvfs("/dev/shm")
facts["shm"] = shm.f_blocks * shm.f_frsize
facts["root_is_writable"] = os.access("/", os.W_OK)
Path("/app/output").joinpath("seen-" + kind + ".json").write_text(json.dumps(facts))
"""
SCORES = "Path('/app/output/scores.json').write_text('{\"score\": 0.5}')\n"


def make_job(folder: Path, image: str, script: str, **changes: Any) -> Job:
    for name in ("program", "ingested_program", "input_data", "output", "data"):
        (folder / "root" / "app" / name).mkdir(parents=True)
    (folder / "root" / "app" / "program" / "main.py").write_text(script)
    job = Job(
        root=folder / "root",
        command="python3 main.py",
        kind="ingestion",
        stdout=folder / "stdout.txt",
        stderr=folder / "stderr.txt",
        seconds=30,
        image=image,
    )
    return replace(job, **changes)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose programs and submission write down what they see."""
    folder = copy_repository(tmp_path / "bundle")
    for path in folder.glob("*_program*"):
        for script in path.glob("*.py"):
            script.unlink()
        kind = "ingestion" if path.name.startswith("ingestion") else "scoring"
        end = SCORES if kind == "scoring" else ""
        (path / "main.py").write_text(f"kind = {kind!r}\n{LOOK}{end}")
        (path / "metadata.yaml").write_text(
            "command: python3 main.py 'two words' $program $input\n"
        )
    return folder


def request_for(bundle: Path, tmp_path: Path, **changes: Any) -> RunRequest:
    submission = tmp_path / "sub"
    if not submission.exists():
        submission.mkdir()
        (submission / "model.py").write_text(f"kind = 'submission'\n{LOOK}")
        (submission / "metadata").write_text("command: python3 model.py\n")
    competition = load_competition(bundle, "two-task")
    phase = competition.phase("development")
    request = RunRequest(
        competition=competition,
        phase=phase,
        tasks=phase.tasks[:1],
        submission=submission,
        participant="ann",
        engine=ENGINES["docker"],
        output=tmp_path / "run",
    )
    return replace(request, **changes)


def seen(output: Path, kind: str) -> dict[str, Any]:
    step = "scoring" if kind == "scoring" else "prediction"
    found = json.loads((output / "A" / step / f"seen-{kind}.json").read_text())
    assert isinstance(found, dict)
    return found


# The worker's table of mounts, cell by cell; `/app/input` holds both `ref` and `res`.
MOUNTS = {
    "ingestion": {"program", "ingested_program", "input_data", "output", "data"},
    "submission": {"program", "input_data", "output", "data"},
    "scoring": {"program", "input", "output", "shared", "data"},
}


def test_the_containers_are_the_workers(bundle: Path, tmp_path: Path) -> None:
    record = run_submission(request_for(bundle, tmp_path), lambda line: None)
    assert record.state == "finished", record
    for kind, names in MOUNTS.items():
        facts = seen(tmp_path / "run", kind)
        expected = {f"/app/{name}": "ro" if name == "data" else "rw" for name in names}
        assert facts["mounts"] == expected, kind
        top = [path for path in facts["folders"] if path.count("/") == 2]
        assert set(top) == set(expected), kind
        assert facts["cwd"] == "/app/program"
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        assert facts["Seccomp"] == "2"
        assert facts["environment"]["PYTHONUNBUFFERED"] == "1"
        assert facts["shm"] == 64 * 2**20
        assert facts["interfaces"] == ["lo"]
        if os.geteuid() == 0:
            assert facts["uid"] == 0
            assert facts["root_is_writable"]
    inside = [path for path in seen(tmp_path / "run", "scoring")["folders"] if "/input/" in path]
    assert inside == ["/app/input/ref", "/app/input/res"]
    # Split as a shell would; the platform's own variables are replaced.
    words = ["two words", "/app/program"]
    assert seen(tmp_path / "run", "ingestion")["argv"] == [*words, "/app/input_data"]
    assert seen(tmp_path / "run", "scoring")["argv"] == [*words, "/app/input"]


def test_a_task_without_input_data_has_no_such_folder(bundle: Path, tmp_path: Path) -> None:
    request = request_for(bundle, tmp_path)
    task = replace(request.tasks[0], input_data=None)
    run_submission(replace(request, tasks=(task,)), lambda line: None)
    assert "/app/input_data" not in seen(tmp_path / "run", "ingestion")["mounts"]
    assert "/app/input_data" not in seen(tmp_path / "run", "submission")["mounts"]


def test_worker_data_are_shown_and_cannot_be_changed(bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "weights.bin").write_text("w")
    script = (
        "kind = 'ingestion'\n"
        + LOOK
        + (
            "try: Path('/app/data/x').write_text('x')\n"
            "except OSError as error: Path('/app/output/refused').write_text(error.strerror)\n"
            "Path('/app/output/read').write_text(Path('/app/data/weights.bin').read_text())\n"
        )
    )
    (bundle / "ingestion_program" / "main.py").write_text(script)
    run_submission(request_for(bundle, tmp_path, worker_data=data), lambda line: None)
    prediction = tmp_path / "run" / "A" / "prediction"
    assert (prediction / "refused").read_text() == "Read-only file system"
    assert (prediction / "read").read_text() == "w"
    assert [path.name for path in data.iterdir()] == ["weights.bin"]


def test_what_the_engine_was_asked_for(tmp_path: Path, core_image: str) -> None:
    script = "import time\nfrom pathlib import Path\nwhile not Path('/app/output/go').exists():\n"
    job = make_job(
        tmp_path,
        core_image,
        script + "    time.sleep(0.02)\n",
        resources=Resources(memory=256 * 2**20, cpus=1.5, pids=64),
    )
    results = []
    thread = threading.Thread(target=lambda: results.append(run_docker(job)))
    thread.start()
    found: dict[str, Any] = {}
    end = time.monotonic() + 20
    mine = str(owner_label()[OWNER_LABEL])
    while not found and time.monotonic() < end:
        with docker_client() as client:
            for one in client.api.containers(filters={"label": f"{OWNER_LABEL}={mine}"}):
                found = client.api.inspect_container(one["Id"])
        time.sleep(0.05)
    (job.app / "output" / "go").touch()
    thread.join()
    assert results[0].exit_code == 0
    host, config = found["HostConfig"], found["Config"]
    assert sorted(host["CapDrop"]) == sorted(DROPPED) and not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["UsernsMode"] == "host"
    assert not host["Privileged"] and not host["AutoRemove"]
    assert host["Memory"] == host["MemorySwap"] == 256 * 2**20
    assert host["NanoCpus"] == 1_500_000_000
    assert host["PidsLimit"] == 64
    assert config["WorkingDir"] == "/app/program"
    assert config["NetworkDisabled"] is True
    assert config["Entrypoint"] is None
    assert config["Cmd"] == ["python3", "main.py"]


def test_odd_paths_can_be_mounted(tmp_path: Path, core_image: str) -> None:
    script = (
        "from pathlib import Path\n"
        "Path('/app/output/x').write_text('x')\n"
        "try: Path('/app/data/x').write_text('x')\n"
        "except OSError as error: print(error.strerror)\n"
    )
    for name in ("with: colon", "with space", "ünïcode", "a,b=c"):
        job = make_job(tmp_path / name, core_image, script)
        assert run_docker(job).exit_code == 0, job.stderr.read_text()
        assert (job.app / "output" / "x").read_text() == "x"
        assert job.stdout.read_text() == "Read-only file system\n"


def test_limits_take_effect(tmp_path: Path, core_image: str) -> None:
    script = (
        "import threading, time\n"
        "made = 0\n"
        "try:\n"
        "    for _ in range(100):\n"
        "        threading.Thread(target=time.sleep, args=(1,), daemon=True).start(); made += 1\n"
        "except RuntimeError: print('refused', made < 40)\n"
    )
    job = make_job(tmp_path, core_image, script, resources=Resources(pids=32))
    assert run_docker(job).exit_code == 0
    assert job.stdout.read_text() == "refused True\n"


def test_the_network_is_there_when_asked_for(tmp_path: Path, core_image: str) -> None:
    script = "import os; print(sorted(os.listdir('/sys/class/net')))"
    job = make_job(tmp_path, core_image, script, resources=Resources(network=True))
    assert run_docker(job).exit_code == 0
    assert "eth0" in job.stdout.read_text()


def test_out_of_memory_is_told_from_time_signal_and_exit(tmp_path: Path, core_image: str) -> None:
    greedy = "data = []\nwhile True: data.append(bytearray(8 << 20))\n"
    memory = Resources(memory=64 * 2**20)
    ends = {
        "memory": (greedy, {"resources": memory}, (137, True, False)),
        "time": ("import time; time.sleep(60)", {"seconds": 1.0}, (137, False, True)),
        "signal": (
            "import os, subprocess, sys\n"
            "code = subprocess.run([sys.executable, '-c', 'import os; os.abort()']).returncode\n"
            "sys.exit(128 - code)",
            {},
            (134, False, False),
        ),
        "exit": ("raise SystemExit(7)", {}, (7, False, False)),
    }
    said = {}
    for name, (script, changes, expected) in ends.items():
        folder = tmp_path / name
        result = run_docker(make_job(folder, core_image, script, **changes))
        assert (result.exit_code, result.out_of_memory, result.timed_out) == expected, name
        said[name] = result.ending()
    assert said["memory"] == "was ended by the system: out of memory"
    assert re.fullmatch(r"was ended by force after \d s", said["time"])
    assert said["signal"] == "was ended by signal SIGABRT"
    assert said["exit"] == "ended with exit code 7"


def test_a_submission_without_memory_is_told_so(tmp_path: Path, core_image: str) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    submission = tmp_path / "sub"
    submission.mkdir()
    (submission / "metadata").touch()
    (submission / "model.py").write_text(
        "class Model:\n    def load(self): self.data = bytearray(400 << 20)\n"
        "    def predict(self, image): return 0.5\n"
    )
    competition = load_competition(bundle, "hybrid")
    phase = competition.phase("development")
    request = RunRequest(
        competition=competition,
        phase=phase,
        tasks=phase.tasks,
        submission=submission,
        participant="ann",
        engine=ENGINES["docker"],
        output=tmp_path / "run",
        resources=Resources(memory=160 * 2**20),
    )
    record = run_submission(request, lambda line: None)
    task = record.tasks["hybrid"]
    assert record.exit_code == 3
    assert task.error is not None and "memory" in task.error
    assert any("160 MiB, --memory" in note for note in task.notes)


def test_peak_memory_is_the_containers(tmp_path: Path, core_image: str) -> None:
    script = "import time; data = bytearray(150 << 20); time.sleep(2.2)"
    result = run_docker(make_job(tmp_path, core_image, script))
    assert result.peak_memory is not None
    assert 150 * 2**20 < result.peak_memory < 220 * 2**20


def test_a_stopped_job_leaves_no_container(tmp_path: Path, core_image: str) -> None:
    stop = threading.Event()
    job = make_job(tmp_path, core_image, "import time; time.sleep(60)", stop=stop)
    threading.Timer(1.0, stop.set).start()
    started = time.monotonic()
    with pytest.raises(JobStoppedError):
        run_docker(job)
    assert time.monotonic() - started < 6
    assert not own_containers(os.getpid())


def own_containers(pid: int) -> list[str]:
    with docker_client() as client:
        listed = client.api.containers(all=True, filters={"label": OWNER_LABEL})
        owners = [(str(one["Id"]), str(one["Labels"][OWNER_LABEL]).split()) for one in listed]
    return [id for id, owner in owners if owner[-2] == str(pid)]


def wait_for(condition: Any, seconds: float = 12.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.parametrize("after", [0.3, 0.6, 0.9, 1.2, 2.0])
def test_killed_at_any_moment(bundle: Path, tmp_path: Path, after: float) -> None:
    slow = "import time\ntime.sleep(3)\n"
    program = bundle / "ingestion_program" / "main.py"
    program.write_text(program.read_text() + slow)
    request = request_for(bundle, tmp_path)
    command = [sys.executable, "-m", "mimicry.cli", "run", str(request.submission)]
    command += ["--competition", "two-task", "--task", "A", "--engine", "docker"]
    command += ["--output", str(request.output), "--bundle", str(bundle)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after + random.Random(after).random() * 0.2)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert wait_for(lambda: not own_containers(process.pid))
    # One that the engine was still making is removed, too.
    time.sleep(0.5)
    assert not own_containers(process.pid)
    if (request.output / "run.json").exists():
        record = read_run(request.output)
        assert (record.state, record.finished) == ("running", None)
        assert all(task.scores is None for task in record.tasks.values())


def test_interrupted_politely(bundle: Path, tmp_path: Path) -> None:
    program = bundle / "ingestion_program" / "main.py"
    program.write_text("import time\ntime.sleep(30)\n")
    request = request_for(bundle, tmp_path)
    command = [sys.executable, "-m", "mimicry.cli", "run", str(request.submission)]
    command += ["--competition", "two-task", "--task", "A", "--engine", "docker"]
    command += ["--output", str(request.output), "--bundle", str(bundle)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: own_containers(process.pid))
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert time.monotonic() - started < 8
    assert not own_containers(process.pid)


def test_a_killed_guard_does_not_hurt_the_run(tmp_path: Path, core_image: str) -> None:
    job = make_job(tmp_path, core_image, "import time; time.sleep(1.5); print('done')")
    results = []
    thread = threading.Thread(target=lambda: results.append(run_docker(job)))
    thread.start()

    def guards() -> list[int]:
        own = psutil.Process().children()
        return [one.pid for one in own if docker_guard.__name__ in one.cmdline()]

    assert wait_for(guards)
    os.kill(guards()[0], signal.SIGKILL)
    thread.join()
    assert (results[0].exit_code, job.stdout.read_text()) == (0, "done\n")
    assert not own_containers(os.getpid())


def test_a_full_disk_does_not_hold_up_the_engine(tmp_path: Path, core_image: str) -> None:
    job = make_job(tmp_path, core_image, "print('x' * (3 << 20)); import time; time.sleep(0.5)")
    # Every write to it fails as on a full disk.
    job = replace(job, stdout=Path("/dev/full"))
    started = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        run_docker(job)
    assert time.monotonic() - started < 10
    assert not own_containers(os.getpid())


def test_a_device_that_is_not_there_is_the_organisers(tmp_path: Path, core_image: str) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU here")
    job = make_job(tmp_path, core_image, "", resources=Resources(gpus="all"))
    with pytest.raises(BundleError, match="--gpus") as caught:
        run_docker(job)
    assert caught.value.code == "engine-start"


def test_orphans_are_removed_and_the_living_left_alone(core_image: str) -> None:
    machine = " ".join(next(iter(owner_label().values())).split()[:-2])
    dead = {OWNER_LABEL: f"{machine} 999999999 1"}
    elsewhere = {OWNER_LABEL: f"another-boot pid:[1] {os.getuid()} 999999999 1"}
    with docker_client() as client:
        made = {
            name: client.containers.create(core_image, ["true"], labels=labels)
            for name, labels in (("dead", dead), ("mine", owner_label()), ("else", elsewhere))
        }
        try:
            assert remove_orphans() >= 1
            left = {str(one["Id"]) for one in client.api.containers(all=True)}
            assert {n for n, one in made.items() if one.id in left} == {"mine", "else"}
        finally:
            for one in made.values():
                docker_guard.remove_container(str(one.id))


@pytest.fixture
def odd_image(core_image: str, tmp_path: Path) -> Iterator[str]:
    """An image with an ENTRYPOINT and a USER."""
    name = f"mimicry-test-odd:{os.getpid()}"
    (tmp_path / "Dockerfile").write_text(
        f'FROM {core_image}\nUSER 1234\nENTRYPOINT ["/bin/true"]\n'
    )
    with docker_client() as client:
        client.images.build(path=str(tmp_path), tag=name, rm=True)
        yield name
        client.images.remove(name, force=True)


def test_an_image_that_the_platform_cannot_use_is_told(odd_image: str) -> None:
    image = prepare_image(odd_image, pull=False)
    assert len(image.warnings) == 2
    assert "ENTRYPOINT" in image.warnings[0] and "USER 1234" in image.warnings[1]
    assert image.id.startswith("sha256:") and image.id[7:19] in image.line()


def test_a_missing_image_names_the_remedy() -> None:
    name = "mimicry.invalid/no-such-image:1.0.0"
    assert image_here(name) is None
    with pytest.raises(BundleError, match="make image") as caught:
        prepare_image(name, pull=False)
    assert caught.value.code == "image-missing"


def test_limits_are_for_docker_alone(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = request_for(bundle, tmp_path)
    command = ["run", str(request.submission), "--bundle", str(bundle)]
    for options, said in (
        (["--engine", "subprocess", "--memory", "1g"], "does not know --memory"),
        (["--engine", "bubblewrap", "--network"], "does not know --network"),
        (["--engine", "subprocess", "--pull"], "does not know --pull"),
        (["--engine", "docker", "--memory", "1x"], "no amount of memory"),
        (["--engine", "docker", "--memory", "1k"], "at least 6 MiB"),
        (["--engine", "docker", "--gpus", "some"], "neither all"),
        (["--engine", "docker", "--cpus", "0"], "range"),
        (["--engine", "docker", "--pids", "0"], "range"),
    ):
        assert main([*command, *options]) == 2, options
        assert said in capsys.readouterr().err


def python_for(become: list[str]) -> tuple[str, dict[str, str]] | None:
    """Return a Python that another user may start, and what makes it find the packages."""
    packages = os.pathsep.join(path for path in sys.path if Path(path).is_dir())
    for python, extra in (
        (sys.executable, {}),
        # One in root's own folder is closed to others; the system's is not.
        ("/usr/bin/python3", {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}),
    ):
        probe = f"exec {python} -c 'import mimicry.cli, numpy, docker'"
        environment = {**os.environ, **extra}
        tried = subprocess.run([*become, "sh", "-c", probe], env=environment, capture_output=True)
        if tried.returncode == 0:
            return python, environment
    return None


def test_an_ordinary_user_of_the_docker_group(bundle: Path) -> None:
    """Everything that a run leaves belongs to the caller, and only the caller may write it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    group = Path("/var/run/docker.sock").stat().st_gid
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", str(group)]
    found = python_for(become)
    if found is None:
        pytest.skip("no Python here that another user may start")
    python, environment = found
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        subprocess.run(["cp", "-r", str(bundle), f"{folder}/bundle"], check=True)
        request_for(bundle, place)
        subprocess.run(["chown", "-R", "65534:65534", folder], check=True)
        command = [*become, python, "-m", "mimicry.cli", "run", f"{folder}/sub"]
        command += ["--competition", "two-task", "--task", "A", "--engine", "docker"]
        command += ["--output", f"{folder}/run", "--bundle", f"{folder}/bundle"]
        ended = subprocess.run(
            command, env={**environment, "HOME": folder}, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        for path in [place / "run", *(place / "run").rglob("*")]:
            owner = path.lstat()
            assert (owner.st_uid, owner.st_gid) == (65534, 65534), path
            if not path.is_symlink():
                assert not stat.S_IMODE(owner.st_mode) & stat.S_IWOTH, path
        assert seen(place / "run", "scoring")["uid"] == 65534
