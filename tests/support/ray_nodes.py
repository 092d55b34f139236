"""A real Ray cluster of several nodes on this machine, each started by `ray start`, token on."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
from ray._private.authentication_test_utils import reset_auth_token_state

__all__ = ["RayNodes", "free_port", "ray_token"]

_START_SECONDS = 120
_BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def ray_token(mode: str | None, token: str | None = None) -> Iterator[None]:
    """Ray in this process with another token, or none; it remembers the one it has read."""
    wanted = {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": token, "RAY_AUTH_TOKEN_PATH": None}
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    reset_auth_token_state()


class RayNodes:
    """A head and as many workers as are added; ends only what it has started.

    Args:
        bin: where `ray` and `python` are, as the cluster sees them.
        environment: of every node, over this process's.
    """

    def __init__(self, bin: Path = _BIN, **environment: str) -> None:  # noqa: A002
        self.token = secrets.token_hex(16)
        self.port, self.dashboard_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.dashboard_port}"
        self.folder = Path(tempfile.mkdtemp(prefix="rn-", dir="/tmp"))  # sockets need a short path
        self._bin, self.nodes = bin, list[psutil.Popen]()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MMSTUDY_"))}
        self.environment = kept | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "PATH": f"{bin}:{os.environ['PATH']}",
            **environment,
        }

    def __enter__(self) -> Self:
        head = ["--head", f"--port={self.port}", f"--dashboard-port={self.dashboard_port}"]
        head += ["--num-cpus=1", "--dashboard-host=127.0.0.1"]
        self._start(*head, f"--ray-client-server-port={free_port()}")
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def client(self) -> dict[str, str]:
        """Environment of whoever talks to the cluster."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def add(self, *, cpus: int = 2, gpus: int = 0) -> psutil.Popen:
        """One more node."""
        counts = [f"--num-cpus={cpus}", f"--num-gpus={gpus}"]
        return self._start(f"--address=127.0.0.1:{self.port}", *counts)

    def _start(self, *arguments: str) -> psutil.Popen:
        own = self.folder / str(len(self.nodes))  # as on machines of their own
        own.mkdir()
        command = [str(self._bin / "ray"), "start", "--block", "--disable-usage-stats"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        command += ["--object-store-memory=80000000", f"--temp-dir={own}", *arguments]
        path = self.folder / f"node-{len(self.nodes)}.log"
        with path.open("w") as log:
            node = psutil.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.nodes.append(node)
        deadline = time.monotonic() + _START_SECONDS
        while "Ray runtime started" not in path.read_text():
            assert node.poll() is None, path.read_text()
            assert time.monotonic() < deadline, path.read_text()
            time.sleep(0.2)
        return node


def kill(node: psutil.Popen) -> None:
    """End a node at once, as if its machine were gone."""
    try:
        family = [node, *node.children(recursive=True)]
    except psutil.Error:
        family = []
    for process in family:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(family, timeout=10)
