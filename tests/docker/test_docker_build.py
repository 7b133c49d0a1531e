"""Names, variants, locks and interrupts of docker/build.py; needs no Docker."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"


@pytest.fixture
def names(room):
    import image_names

    return image_names


@pytest.fixture
def failure(room):
    from image_tools import ImageError

    return ImageError


@pytest.mark.parametrize(
    ("image", "cpu", "gpu"),
    [
        ("ghcr.io/a/core:0.1.0", "ghcr.io/a/torch:0.1.0", "ghcr.io/a/torch:0.1.0-gpu"),
        ("core:1", "torch:1", "torch:1-gpu"),
        ("a/butterflies:2", "a/butterflies-torch:2", "a/butterflies-torch:2-gpu"),
        ("host:5000/x/core:3", "host:5000/x/torch:3", "host:5000/x/torch:3-gpu"),
        ("host:5000/hardcore", "host:5000/hardcore-torch:latest", None),
        ("a/torch:1", "a/torch:1", "a/torch:1-gpu"),
        ("a/x-torch:1-gpu", "a/x-torch:1-gpu", "a/x-torch:1-gpu"),
        ("a/mytorch:1", "a/mytorch-torch:1", "a/mytorch-torch:1-gpu"),
    ],
)
def test_the_torch_image_is_named_after_the_core_image(names, image, cpu, gpu):
    assert names.torch_name(image, "cpu") == cpu
    if gpu is not None:
        assert names.torch_name(image, "gpu") == gpu


def test_an_image_pinned_by_digest_is_refused(names, failure):
    with pytest.raises(failure, match="pinned by digest"):
        names.split_name("a/core@sha256:" + "0" * 64)


def test_every_competition_file_gets_its_image(names, tmp_path):
    (tmp_path / "competitions").mkdir()
    (tmp_path / "competition.yaml").write_text("docker_image: a/core:1\n")
    (tmp_path / "competitions" / "b.yaml").write_text('"docker_image": "a/torch:1-gpu"\n')
    (tmp_path / "competitions" / "a.yaml").write_text("docker_image: a/core:2 # newer\n")
    images = names.yaml_images(tmp_path)
    assert images == ("a/core:1", "a/core:2", "a/torch:1-gpu")
    core, torch = names.recipes(images, torch=False, variant="cpu")
    assert (core.target, core.names) == ("core", ("a/core:1", "a/core:2"))
    assert (torch.target, torch.variant, torch.names) == ("torch", "gpu", ("a/torch:1-gpu",))


def test_this_repository_gets_the_image_that_its_files_name(names):
    images = names.yaml_images(ROOT)
    for file in [ROOT / "competition.yaml", *(ROOT / "competitions").glob("*.yaml")]:
        assert yaml.safe_load(file.read_text("utf-8"))["docker_image"] in images
    made = names.recipes(images, torch=False, variant="cpu")
    assert {name for recipe in made for name in recipe.names} == set(images)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: x\n", "names no docker_image"),
        ("docker_image: 3\n", "names no docker_image"),
        ("docker_image: [\n", "cannot be read"),
        ("- docker_image\n", "names no docker_image"),
    ],
)
def test_a_competition_file_without_an_image_is_named(names, failure, tmp_path, text, message):
    (tmp_path / "competition.yaml").write_text(text)
    with pytest.raises(failure, match=rf"competition\.yaml {message}"):
        names.yaml_images(tmp_path)


def make(*arguments: str) -> str:
    """What make would run for a target whose environment is set up."""
    command = ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/.core", *arguments]
    # The tests may run under make themselves.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True
    )
    return done.stdout.strip().splitlines()[-1]


LOCKS = {"core": "image-core.txt", "torch": "image-torch-cpu.txt"}


@pytest.mark.parametrize(
    ("arguments", "suffix", "lock"),
    [
        (["image"], "", ""),
        (["image-torch"], "", "image-torch-cpu.txt"),
        (["image-torch", "VARIANT=gpu"], "-gpu", "image-torch-gpu.txt"),
    ],
)
def test_the_variant_chooses_name_and_lock(names, arguments, suffix, lock):
    images = names.yaml_images(ROOT)
    if lock:
        # The competitions' images are of one version: one torch image lies beside them all.
        (image,) = {image.replace("/core:", "/torch:") + suffix for image in images}
        wanted = {f"{image}: target torch, lock requirements/{lock}"}
    else:
        kinds = {image: re.search(r"/(core|torch):", image).group(1) for image in images}
        wanted = {f"{i}: target {k}, lock requirements/{LOCKS[k]}" for i, k in kinds.items()}
    command = [sys.executable, *make(*arguments).split()[1:], "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()) == wanted


def test_the_variant_reaches_the_build_and_its_wheels(room, names):
    import build

    recipe = names.Recipe("torch", "gpu", ("a/torch:1-gpu",))
    command = build.build_command(recipe, "base:1", {"x.version": "1-gpu"}, Path("/context"))
    text = " ".join(command)
    assert "--build-arg VARIANT=gpu" in text
    assert "--build-arg BASE_IMAGE=base:1" in text
    assert "--network none" in text
    assert "--label x.version=1-gpu" in text
    assert [folder for folder, _ in recipe.locks] == ["core", "torch-gpu"]
    dockerfile = (room / "Dockerfile").read_text("utf-8")
    assert "COPY wheels/torch-${VARIANT} " in dockerfile
    assert "COPY requirements/image-torch-${VARIANT}.txt " in dockerfile


def lock_of(name: str) -> dict[str, str]:
    from cpu_lock import entries, version

    blocks = entries((REQUIREMENTS / f"image-{name}.txt").read_text("utf-8"))
    return {package: version(block) for package, block in blocks.items()}


def test_only_the_gpu_lock_holds_cuda(room):
    from cpu_lock import CUDA

    cpu, gpu = lock_of("torch-cpu"), lock_of("torch-gpu")
    assert {"nvidia-cudnn-cu13", "triton"} <= gpu.keys() - cpu.keys()
    assert all(CUDA.fullmatch(package) for package in gpu.keys() - cpu.keys())
    assert cpu.keys() < gpu.keys()
    assert cpu["torch"] == gpu["torch"] + "+cpu"
    for package in cpu.keys() - {"torch"}:
        assert cpu[package] == gpu[package]


def test_the_torch_lock_goes_on_from_the_core_lock(room):
    core, torch = lock_of("core"), lock_of("torch-cpu")
    assert {package: torch.get(package) for package in core} == core


def test_the_cpu_lock_is_what_make_lock_derives(room):
    from cpu_lock import cpu_lock

    texts = (REQUIREMENTS / f"image-torch-{n}.txt" for n in ("gpu", "cpu-builds"))
    derived = cpu_lock(*(file.read_text("utf-8") for file in texts))
    assert (REQUIREMENTS / "image-torch-cpu.txt").read_text("utf-8") == derived


def test_a_new_torch_with_the_old_cpu_hashes_is_refused(room):
    from cpu_lock import cpu_lock

    gpu = (REQUIREMENTS / "image-torch-gpu.txt").read_text("utf-8")
    builds = (REQUIREMENTS / "image-torch-cpu-builds.txt").read_text("utf-8")
    newer = gpu.replace("torch==2.13.0", "torch==2.14.0")
    with pytest.raises(ValueError, match="copy version and hashes"):
        cpu_lock(newer, builds)


def test_every_pin_has_hashes(room):
    from cpu_lock import entries, hashes

    for name in ("core", "torch-cpu", "torch-gpu"):
        text = (REQUIREMENTS / f"image-{name}.txt").read_text("utf-8")
        assert all(hashes(block) for block in entries(text).values())
        # The machine that made the lock stays out of it.
        assert not re.search(r"--(index-url|extra-index-url|find-links)|file:|://(?!down)", text)


def test_budgets_name_both_targets(room):
    budgets = json.loads((room / "budgets.json").read_text())
    dockerfile = (room / "Dockerfile").read_text("utf-8")
    for target in budgets:
        assert re.search(rf"^FROM \S+ AS {target}$", dockerfile, re.M)


def test_the_dockerfile_keeps_to_what_every_builder_knows(room):
    text = (room / "Dockerfile").read_text("utf-8")
    for line in text.splitlines():
        assert not re.match(r"#\s*syntax=|\s*(USER|ENTRYPOINT|VOLUME|ADD)\b", line)
        assert line.startswith("#") or "--mount" not in line


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b"),
        ("https://user:secret@example.org/a/b", "https://example.org/a/b"),
        ("git@example.org:a/b.git", "https://example.org/a/b"),
        ("ssh://git@example.org/a/b.git", "https://example.org/a/b"),
        ("ssh://git@example.org:2222/a/b", "https://example.org/a/b"),
        ("https://example.org/a/b?token=secret", "https://example.org/a/b"),
        ("/home/me/b", ""),
        ("file:///home/me/b", ""),
        ("../b", ""),
        ("", ""),
    ],
)
def test_the_source_label_is_an_address_without_secrets(room, remote, address):
    import build

    assert build.public_address(remote) == address


FAKE_DOCKER = """#!/bin/sh
case "$1 $2" in
  "version "*) echo linux/amd64 ;;
  "image inspect") exit 0 ;;
  "buildx version") exit 1 ;;
  "build "*) echo "$*" > "{log}"; exec sleep 60 ;;
  *) exit 1 ;;
esac
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(room, tmp_path, how):
    from build import TORCHVISION_COMPAT
    from image_wheels import wheel_folder

    tree, commands, log = tmp_path / "tree", tmp_path / "bin", tmp_path / "log"
    tree.mkdir()
    shutil.copytree(room, tree / "docker", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REQUIREMENTS, tree / "requirements")
    (tree / TORCHVISION_COMPAT).parent.mkdir(parents=True)
    shutil.copy(REQUIREMENTS.parent / TORCHVISION_COMPAT, tree / TORCHVISION_COMPAT)
    (tree / "competition.yaml").write_text("docker_image: a/core:1\n")
    lock = "a==1 --hash=sha256:" + "0" * 64 + "\n"
    (tree / "requirements" / "image-core.txt").write_text(lock)
    state = tree / "build" / "docker"
    wheels = wheel_folder(state / "wheels", "core", lock, "x86_64")
    wheels.mkdir(parents=True)
    (wheels / "a-1-py3-none-any.whl").write_bytes(b"")
    # What a build left that had no chance to clean up.
    (state / "context-killed").mkdir()
    commands.mkdir()
    (commands / "docker").write_text(FAKE_DOCKER.format(log=log))
    (commands / "docker").chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "docker/build.py"],
        cwd=tree,
        env={**os.environ, "PATH": path, "DOCKER_DEFAULT_PLATFORM": "linux/amd64"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    context = Path(log.read_text().split()[-1])
    assert (context / "wheels" / "core" / "a-1-py3-none-any.whl").is_file()
    assert (context / "torchvision_compat.py").is_file()
    process.send_signal(how)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in output and "Traceback" not in output
    assert sorted(entry.name for entry in state.iterdir()) == ["lock", "wheels"]


def test_without_docker_the_build_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "docker/build.py"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "image: no `docker` command here; install it first\n"
