"""What the parts of docker/build.py share: commands, messages, places."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"


class ImageError(Exception):
    """A sentence for the person at the terminal."""


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(f"image: {text}", flush=True)


def run(command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command and return it with its output as text; never raises for its exit code.

    Raises
    ------
    ImageError
        The command is not installed.
    """
    try:
        return subprocess.run(command, text=True, capture_output=True, check=False, env=env)
    except FileNotFoundError as error:
        raise ImageError(f"no `{command[0]}` command here; install it first") from error


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def has_image(name: str) -> bool:
    """Tell whether the engine holds an image of that name."""
    return run(["docker", "image", "inspect", name]).returncode == 0
