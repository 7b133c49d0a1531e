"""The zoo's files on disk: which are ours, and how they go. Standard library alone."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mimicry.demo.storage import LOCK, RECORDS, locked
from mimicry.files import sha256_file

ZOO = f"{RECORDS}/zoo"
MANIFEST = "manifest.json"


def read_zoo_manifest(output: Path) -> dict[str, Any]:
    """Return the zoo's record; empty where there is none or it is damaged."""
    try:
        content = json.loads((output / ZOO / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def own_hashes(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the recorded files, relative to the bundle, and the hashes they may have."""
    files = manifest.get("files")
    if not isinstance(files, dict):
        return {}
    return {
        name: [digest for digest in digests if isinstance(digest, str)]
        for name, digests in files.items()
        # A record that was edited by hand must not lead to files of others.
        if isinstance(digests, list)
        and name.startswith((f"{ZOO}/", "public_data/", "reference_data/"))
        and ".." not in Path(name).parts
    }


def clean_zoo(output: Path, report: Callable[[str], None] = print) -> tuple[str, ...]:
    """Remove what `build_zoo` made and nobody changed since.

    A zoo that was interrupted goes whole. Other files stay, and so do the folders that
    they are in.

    Parameters
    ----------
    output : Path
        The bundle.
    report : callable
        Gets lines.

    Returns
    -------
    tuple of str
        What was removed, relative to the bundle.

    Raises
    ------
    BundleError
        ``demo-busy`` while demo data are being written, ``demo-folder``.
    """
    folder = output / ZOO
    if not folder.is_dir():
        return ()
    removed: list[str] = []
    with locked(output):
        manifest = read_zoo_manifest(output)
        owned = own_hashes(manifest)
        if manifest.get("state") == "building":
            # Not recorded one by one yet, but nothing else has a reason to be in there.
            for path in folder.rglob("*"):
                if path.is_file() and path != folder / MANIFEST:
                    name = path.relative_to(output).as_posix()
                    owned.setdefault(name, []).append(sha256_file(path))
        for name, digests in sorted(owned.items()):
            path = output / name
            if path.is_file() and not path.is_symlink() and sha256_file(path) in digests:
                path.unlink()
                removed.append(name)
        # Last, so that a crash above leaves the knowledge whose the files are.
        (folder / MANIFEST).unlink(missing_ok=True)
        for place in (folder, output / "public_data"):
            _prune(place)
        (output / RECORDS / LOCK).unlink(missing_ok=True)
        with suppress(OSError):
            (output / RECORDS).rmdir()
    inside = sum(name.startswith(f"{ZOO}/") for name in removed)
    for name in removed:
        if not name.startswith(f"{ZOO}/"):
            report(f"removed {name}")
    if inside:
        report(f"removed {ZOO}/ ({inside} files)")
    if folder.is_dir():
        report(f"kept {ZOO}/: it holds files that are not the demo's, or changed since")
    return tuple(removed)


def _prune(folder: Path) -> None:
    """Remove empty folders at and below `folder`."""
    if not folder.is_dir():
        return
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        with suppress(OSError):
            path.rmdir()
    with suppress(OSError):
        folder.rmdir()
