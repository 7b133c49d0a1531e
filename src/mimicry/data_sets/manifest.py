"""The private record of a build: which photograph became which image, and every hash."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file

# A folder that no competition names, that Git passes over, and that its owner alone enters.
PRIVATE = "private"
NAME = "data-manifest.json"
FORM = 1
_LARGEST = 1 << 30


def private_folder(output: Path) -> Path:
    """Return the private folder, made when missing, with a note for Git to leave it out.

    Raises
    ------
    BundleError
        `data-folder` when it cannot be made or is a link.
    """
    folder = output / PRIVATE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink():
            raise NotADirectoryError(0, "it is a link")
        folder.chmod(0o700)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            write_private(ignore, "*\n")
    except OSError as error:
        raise BundleError(
            "data-folder",
            f"The private folder {folder} cannot be made ({error.strerror or error}); choose an "
            "output folder that you may write to.",
        ) from error
    return folder


def manifest_path(output: Path, wanted: Path | None) -> Path:
    """Return where the manifest goes, by default into the private folder.

    Raises
    ------
    BundleError
        `manifest-place` for a place in the bundle but outside that folder, from where it
        might be packed, served or committed.
    """
    private = (output / PRIVATE).resolve()
    if wanted is None:
        return private / NAME
    path = wanted.resolve()
    if path.is_relative_to(output.resolve()) and not path.is_relative_to(private):
        raise BundleError(
            "manifest-place",
            f"{wanted} lies in the bundle, where it might be packed or committed, and it tells "
            f"every label. Name a place outside of it, or one in {PRIVATE}/.",
        )
    if not path.parent.is_dir() and path.parent != private:
        raise BundleError(
            "manifest-place", f"there is no folder {path.parent} for the manifest; make it first."
        )
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read; it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record as JSON in ASCII, for its owner alone."""
    write_private(path, json.dumps(content, indent=1) + "\n")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return a record, None where there is none or it is damaged."""
    try:
        content = json.loads(read_regular_file(path, _LARGEST))
    except (UnusableFile, ValueError, RecursionError):
        return None
    fits = (
        isinstance(content, dict)
        and content.get("form") == FORM
        and isinstance(content.get("zips"), dict)
        and isinstance(content.get("images"), list)
        and all(isinstance(one, dict) for one in [*content["zips"].values(), *content["images"]])
    )
    return content if fits else None


def recorded_zips(content: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the zips of a record with their SHA-256."""
    zips = (content or {}).get("zips", {})
    return {name: str(facts.get("sha256", "")) for name, facts in zips.items()}
