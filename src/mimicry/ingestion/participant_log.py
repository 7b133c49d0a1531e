"""The private, bounded record of what a participant's code prints."""

import os
import threading
from collections import deque
from pathlib import Path

HEAD_LIMIT = 256 * 1024
TAIL_LIMIT = 64 * 1024


class ParticipantLog:
    """Drains a pipe into a file: the first 256 KiB, then only the last 64 KiB.

    The pipe is always drained, so that a flood of output never blocks the model
    and never fills the disk. The head is on disk as it comes; the tail when the
    pipe ends.

    Parameters
    ----------
    path : Path
        The file; it must not exist yet.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._path = path
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        self._head_bytes = 0
        self._thread = threading.Thread(target=self._drain, name="participant-log", daemon=True)
        self._thread.start()

    def close_write_end(self) -> None:
        """Close this process's copy of the end that the model writes to."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def finish(self, patience: float = 5.0) -> bool:
        """Wait until the pipe has ended, then write the tail.

        Call it when no process can hold the pipe any more.

        Returns
        -------
        bool
            Whether the file is still the one that was opened here.
        """
        self.close_write_end()
        self._thread.join(patience)
        if self._left_out:
            note = f"\n[... {self._left_out:,} bytes left out ...]\n"
            self._write(note.encode())
        for chunk in self._tail:
            self._write(chunk)
        mine = os.fstat(self._file)
        os.close(self._file)
        try:
            there = os.lstat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(mine, there)

    def _drain(self) -> None:
        while chunk := os.read(self._read_end, 65536):
            room = HEAD_LIMIT - self._head_bytes
            if room > 0 and self._write(chunk[:room]):
                self._head_bytes += min(room, len(chunk))
                chunk = chunk[room:]
            if chunk:
                self._keep(chunk)
        os.close(self._read_end)

    def _write(self, data: bytes) -> bool:
        """Write, or stop filling the head: a full disk must not block the model."""
        try:
            os.write(self._file, data)
        except OSError:
            self._head_bytes = HEAD_LIMIT
            return False
        return True

    def _keep(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes > TAIL_LIMIT:
            oldest = self._tail.popleft()
            surplus = self._tail_bytes - TAIL_LIMIT
            if len(oldest) > surplus:
                self._tail.appendleft(oldest[surplus:])
            dropped = min(surplus, len(oldest))
            self._tail_bytes -= dropped
            self._left_out += dropped
