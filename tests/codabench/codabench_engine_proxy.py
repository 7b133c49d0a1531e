"""A socket between a client and the Docker engine, which can be cut as if the engine died."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

SYSTEM_SOCKET = "/var/run/docker.sock"


class EngineProxy:
    """Passes bytes both ways until it is told to lose or to hold them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.come_back()

    @property
    def address(self) -> str:
        """What ``DOCKER_HOST`` must be."""
        return f"unix://{self.path}"

    def come_back(self) -> None:
        """Answer again, or for the first time."""
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def lose(self) -> None:
        """Cut every connection, and refuse new ones."""
        listener, self._listener = self._listener, None
        self.path.unlink(missing_ok=True)
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(SYSTEM_SOCKET)
            with self._lock:
                if listener is not self._listener:
                    client.close()
                    engine.close()
                    return
                self._open |= {client, engine}
            for source, target in ((client, engine), (engine, client)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
