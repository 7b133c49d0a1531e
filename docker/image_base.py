"""The base image: from this machine, a registry, or made of Debian packages."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from image_tools import ImageError, has_image, last_line, run, say

DEFAULT_BASE = "python:3.11-slim-bookworm"
LOCAL_BASE = "mimicry-base:bookworm"


def bootstrap(folder: Path) -> None:
    """Make LOCAL_BASE of Debian packages."""
    tool = shutil.which("mmdebstrap")
    if tool is None:
        raise ImageError(
            f"no registry answers, and without mmdebstrap no base can be made: install it "
            f"(apt-get install mmdebstrap), or make image BASE_IMAGE={DEFAULT_BASE} from "
            "a registry that this machine reaches"
        )
    excluded = ("man", "doc", "locale", "info", "groff", "lintian", "linda", "doc-base")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix="base-") as scratch:
        archive = Path(scratch) / "base.tar"
        made = run(
            [
                tool,
                "--quiet",
                "--variant=minbase",
                "--include=python3,python3-venv,ca-certificates",
                *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excluded),
                # Licences stay, as they must.
                "--dpkgopt=path-include=/usr/share/doc/*/copyright",
                "bookworm",
                str(archive),
            ]
        )
        if made.returncode:
            hint = "" if os.geteuid() == 0 else " (as an ordinary user it needs the package uidmap)"
            raise ImageError(f"mmdebstrap failed{hint}: {last_line(made.stderr)}")
        imported = run(
            ["docker", "import", "--change", 'CMD ["python3"]', str(archive), LOCAL_BASE]
        )
        if imported.returncode:
            raise ImageError(f"docker import failed: {last_line(imported.stderr)}")
    say(f"base: {LOCAL_BASE} made of Debian packages in {time.monotonic() - begun:.0f} s")


def find_base(asked: str | None, folder: Path, fresh: bool) -> str:
    """Return the name of a base image that the engine holds, after getting it if need be."""
    wanted = asked or DEFAULT_BASE
    if not fresh and has_image(wanted):
        say(f"base: {wanted} is here already")
        return wanted
    begun = time.monotonic()
    pulled = run(["docker", "pull", "--quiet", wanted])
    if pulled.returncode == 0:
        say(f"base: {wanted} pulled in {time.monotonic() - begun:.0f} s")
        return wanted
    reason = last_line(pulled.stderr)
    if asked:
        raise ImageError(f"base {asked} is neither here nor to be pulled: {reason}")
    if not fresh and has_image(LOCAL_BASE):
        say(f"base: {wanted} cannot be pulled; {LOCAL_BASE} of an earlier build serves")
    else:
        say(f"base: {wanted} cannot be pulled ({reason}); making one of Debian packages")
        bootstrap(folder)
    return LOCAL_BASE
