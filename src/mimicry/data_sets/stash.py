"""Prepared images on disk, so that a build that was interrupted goes on where it stopped."""

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import __version__ as pillow

from mimicry.data_sets.prepare import PREPARER, Facts, Style
from mimicry.files import sha256_file


@dataclass(frozen=True)
class Stash:
    """A folder of prepared images, named by the SHA-256 of their originals and the style."""

    folder: Path

    def path(self, sha256: str, style: Style) -> Path:
        """Return where an original's prepared bytes are or go."""
        key = f"{sha256}/{PREPARER}/{pillow}/{sorted(asdict(style).items())}"
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.img"

    def get(self, sha256: str, style: Style) -> Facts | None:
        """Return what is known of a prepared image, None where there is none that is whole."""
        path = self.path(sha256, style)
        try:
            found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            found["notes"] = tuple((code, reason) for code, reason in found["notes"])
            facts = Facts(**found)
            whole = facts.sha256 == sha256 and sha256_file(path) == facts.published_sha256
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return facts if whole else None

    def put(self, data: bytes, facts: Facts, style: Style) -> None:
        """Keep a prepared image; a reader finds it whole or not at all."""
        path = self.path(facts.sha256, style)
        self._write(path, data)
        self._write(path.with_suffix(".json"), json.dumps(asdict(facts)).encode())

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, data: bytes) -> None:
        # Not synchronised: what a power cut damages does not match its SHA-256 later.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
