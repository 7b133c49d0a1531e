"""Build the container images: ``make image``, ``make image-torch``, or this script.

1. **Names.** The ``docker_image`` of competition.yaml and competitions/*.yaml. Without
   ``--torch`` every image gets exactly that name. With it, the last part of the name
   becomes ``torch`` (``.../core:0.1.0`` -> ``.../torch:0.1.0``; any other name gets
   ``-torch`` appended). ``--variant gpu`` appends ``-gpu`` to the tag.
2. **Base.** ``python:3.11-slim-bookworm`` or what ``--base`` names, from this machine or
   its registry. Where no registry answers, a base of Debian packages is made once, as
   ``mimicry-base:bookworm``. Do not push images made on that one: nobody else can rebuild
   their base.
3. **Wheels.** Downloaded here, by the lock's hashes, with this machine's own pip settings
   (index, proxy, certificates) into ``build/docker/wheels``.
4. **Build.** Without a network, by BuildKit where the buildx plugin is, else by the legacy
   builder (or with ``DOCKER_BUILDKIT=0``).

An interrupted build leaves no tag and no temporary file; run it again.

Examples
--------
make image                                    the image of the YAML files
make image-torch                              with torch, timm and OpenCLIP, for CPUs
make image-torch VARIANT=gpu                  the same for CUDA (some 6 GB)
make image BASE_IMAGE=registry.example.org/python:3.11-slim-bookworm
python docker/build.py --torch --dry-run      what would be built, under which names
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from image_base import DEFAULT_BASE, find_base
from image_names import Recipe, recipes, split_name, yaml_images
from image_tools import ROOT, ImageError, last_line, run, say
from image_wheels import engine_architecture, fetch_wheels

# The package's own module: nothing of it but the standard library and torch is needed.
TORCHVISION_COMPAT = "src/mimicry/activations/torchvision_compat.py"


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep a second build of this checkout waiting, on systems that can."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say("another build is running in this checkout; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def git(*arguments: str) -> str:
    """Return what git prints about this checkout, or nothing outside of one."""
    if shutil.which("git") is None:
        return ""
    return run(["git", "-C", str(ROOT), *arguments]).stdout.strip()


def public_address(remote: str) -> str:
    """Return a git remote as an address that others can open, without any credentials.

    Nothing where the remote is a folder: an image must not name its builder's disk.
    """
    if match := re.fullmatch(r"(?:ssh://)?git@([^:/]+)(?::\d+(?=/))?[:/](.+)", remote):
        remote = f"https://{match.group(1)}/{match.group(2)}"
    match = re.fullmatch(r"https?://(?:[^@/]*@)?([^?#]+)(?:[?#].*)?", remote)
    return f"https://{match.group(1).removesuffix('.git')}" if match else ""


def labels(recipe: Recipe, base: str, source: str | None) -> dict[str, str]:
    """Return the labels that only the build knows; what is not known gets none."""
    revision = git("rev-parse", "HEAD")
    parts = ("docker", "requirements", TORCHVISION_COMPAT)
    if revision and git("status", "--porcelain", "--", *parts):
        revision += "-modified"
    found = {
        "version": split_name(recipe.names[0])[1],
        "revision": revision,
        "source": source
        if source is not None
        else public_address(git("remote", "get-url", "origin")),
        "base.name": base,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in found.items() if value}


def builder() -> tuple[list[str], dict[str, str]]:
    """Return the command that builds, and its environment."""
    environment = dict(os.environ)
    if not environment.get("DOCKER_BUILDKIT"):
        if run(["docker", "buildx", "version"]).returncode == 0:
            return ["docker", "buildx", "build", "--load", "--progress=plain"], environment
        environment["DOCKER_BUILDKIT"] = "0"
    return ["docker", "build", "--force-rm"], environment


def build_command(recipe: Recipe, base: str, marks: dict[str, str], context: Path) -> list[str]:
    """Return the arguments of the build."""
    command = ["--network", "none", "--file", str(context / "Dockerfile")]
    command += ["--target", recipe.target]
    command += ["--build-arg", f"BASE_IMAGE={base}"]
    if recipe.target == "torch":
        command += ["--build-arg", f"VARIANT={recipe.variant}"]
    for key, value in marks.items():
        command += ["--label", f"{key}={value}"]
    for name in recipe.names:
        command += ["--tag", name]
    return [*command, str(context)]


def make_context(recipe: Recipe, wheels: dict[str, Path], context: Path) -> None:
    """Lay out what the Dockerfile copies; wheels are linked, not copied."""
    for path in (ROOT / "docker" / "Dockerfile", ROOT / TORCHVISION_COMPAT):
        shutil.copy(path, context / path.name)
    (context / "requirements").mkdir()
    for _, lock in recipe.locks:
        shutil.copy(lock, context / "requirements" / lock.name)
    for name, folder in wheels.items():
        shutil.copytree(folder, context / "wheels" / name, copy_function=os.link)
    for path in [context, *context.rglob("*")]:
        # Modes belong to a layer's identity: a build must not depend on the umask.
        path.chmod(0o755 if path.is_dir() else 0o644)


def build(recipe: Recipe, base: str, folder: Path, source: str | None) -> None:
    """Build one recipe and say what came of it."""
    architecture = engine_architecture()
    wheels = fetch_wheels(recipe, folder / "wheels", architecture)
    command, environment = builder()
    say(f"building {recipe.names[0]} on {base}")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix="context-") as scratch:
        context = Path(scratch)
        make_context(recipe, wheels, context)
        arguments = build_command(recipe, base, labels(recipe, base, source), context)
        done = run([*command, *arguments], environment)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise ImageError(f"docker build failed: {last_line(done.stderr or done.stdout)}")
    answer = run(["docker", "image", "inspect", "--format", "{{.Size}}", recipe.names[0]])
    size = int(answer.stdout) / 1e6
    names = ", ".join(recipe.names)
    say(f"built: {names} ({size:.0f} MB) in {time.monotonic() - begun:.0f} s")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    usage, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="docker/build.py", description=usage, epilog=(__doc__ or "")[len(usage) :],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--torch", action="store_true", help="build the torch image")
    parser.add_argument(
        "--variant", choices=("cpu", "gpu"), default="cpu", help="of the torch image (default: cpu)"
    )
    parser.add_argument("--base", metavar="IMAGE", help=f"base image (default: {DEFAULT_BASE})")
    parser.add_argument("--fresh", action="store_true", help="get the base anew")
    parser.add_argument(
        "--source", help="address for the label image.source (default: git's origin)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be built, and end")
    return parser.parse_args()


def main() -> int:
    """Build what the command line asks for."""
    asked = arguments()
    # A killed build cleans up like one that Ctrl-C ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        todo = recipes(yaml_images(ROOT), asked.torch, asked.variant)
        if asked.dry_run:
            for recipe in todo:
                lock = recipe.locks[-1][1].relative_to(ROOT)
                print(f"{', '.join(recipe.names)}: target {recipe.target}, lock {lock}")
            return 0
        engine_architecture()
        folder = ROOT / "build" / "docker"
        with one_at_a_time(folder):
            # Left by a build that was killed without a chance to clean up.
            for stale in [
                *folder.glob("context-*"),
                *folder.glob("base-*"),
                *folder.glob("wheels/part-*"),
            ]:
                shutil.rmtree(stale, ignore_errors=True)
            base = find_base(asked.base, folder, asked.fresh)
            for recipe in todo:
                build(recipe, base, folder, asked.source)
    except ImageError as failure:
        print(f"image: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("image: interrupted; no image was tagged by the part that ran", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
