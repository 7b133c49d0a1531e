"""What building Blue's and Red's reference data have in common: checks, files, the outcome."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimicry.errors import BundleError
from mimicry.files import sha256_file, write_atomically
from mimicry.realign.rules import CHECKED_FILES, Team
from mimicry.realign.sizes import SizeReport

# The unbiased estimate needs as many.
LEAST_STIMULI = 4
LEAST_MODELS = 2

Say = Callable[[str], None]
Content = bytes | Path


@dataclass(frozen=True)
class Built:
    """What was written.

    Attributes
    ----------
    output : Path
        The zip of the reference data.
    public : tuple of Path
        Files for participants.
    rules : dict
        As in the reference data.
    models : tuple of str
        Names of the models, in the order of the matrices or arrays.
    sizes : SizeReport
        Of the reference data.
    """

    output: Path
    public: tuple[Path, ...]
    rules: dict[str, Any]
    models: tuple[str, ...]
    sizes: SizeReport


def check_range(name: str, value: int, least: int) -> None:
    """Refuse an option below its least value (``build-option``)."""
    if value < least:
        raise option_error(f"--{name} is {value}, and must be at least {least}")


def option_error(problem: str) -> BundleError:
    """Return the error about an option that makes no sense."""
    return BundleError("build-option", f"The reference data cannot be built: {problem}.")


def check_enough(there: int, least: int, where: str, what: str) -> None:
    """Refuse too few models (``build-few-models``)."""
    if there < least:
        raise BundleError(
            "build-few-models",
            f"{where} has {there} models with {what}, and {least} are needed; extract more, or "
            "ask for fewer (--count).",
        )


def demo_made(path: Path) -> bool:
    """Tell whether a file of a bundle is one that `mimicry data zoo` made, unchanged."""
    from mimicry.demo.zoo_files import own_hashes, read_zoo_manifest

    place = path.resolve()
    if len(place.parents) < 3 or not place.is_file():
        return False
    # Two folders down for reference data, three for public files.
    for root in (place.parents[1], place.parents[2]):
        known = own_hashes(read_zoo_manifest(root)).get(place.relative_to(root).as_posix())
        if known:
            return sha256_file(place) in known
    return False


def check_public(folder: Path, files: Mapping[str, bytes]) -> None:
    """Refuse to give the phases of a competition different public files."""
    for name, content in files.items():
        path = folder / name
        if path.exists() and path.read_bytes() != content:
            if demo_made(path):
                raise BundleError(
                    "public-data-differ",
                    f"{path} is there and differs from what would be written. It is the demo's: "
                    "run `mimicry data clean` first.",
                )
            raise BundleError(
                "public-data-differ",
                f"{path} is there and differs from what would be written: all phases share it. "
                "Build with the other phase's options; or remove it, or name another folder with "
                "--public.",
            )


def write_public(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write what participants get, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return tuple(folder / name for name in files)


def write_reference(output: Path, members: Mapping[str, Content], say: Say) -> None:
    """Write the zip, stored: its bytes depend on the members alone."""
    from mimicry.codabench.zips import write_zip

    if demo_made(output):
        say(f"replaces the demo's {output}")
    write_zip(output, members, compress=False, check=lambda archive: None)


def checksums(files: Mapping[str, bytes], team: Team) -> dict[str, str]:
    """Return the SHA-256 of the files that the rules of a team give it of, by name."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in CHECKED_FILES[team]}


def json_bytes(document: object) -> bytes:
    """Return JSON for people, ending in a line break."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()
