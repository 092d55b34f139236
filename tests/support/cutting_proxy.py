"""A TCP relay on 127.0.0.1 whose connections can be cut while they are in use."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

__all__ = ["CuttingProxy"]


class CuttingProxy:
    """Relays to `port`; `cut` breaks every connection open now."""

    def __init__(self, port: int) -> None:
        self._to, self._open = port, list[socket.socket]()
        self._relays: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for relay in self._relays:
            relay.join()

    def cut(self) -> int:
        """Break all connections; how many there were."""
        cut = 0
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)
                cut += 1
        return cut

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    self._relays.append(threading.Thread(target=self._relay, args=ends))
                    self._relays[-1].start()

    @staticmethod
    def _relay(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source:
            while piece := source.recv(65536):
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)  # its own relay then closes it
