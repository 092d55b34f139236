"""A dashboard that is really served, and a browser that really looks: one of each per session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from mmstudy.serving import command

__all__ = ["Served", "browser", "chromium_path", "served", "settled", "started"]

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str | None:
    """Chromium of `$CHROMIUM` or on the PATH; none where there is none."""
    given = os.environ.get("CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    address: str
    pid: int


@contextmanager
def served(root: Path, log: Path) -> Iterator[Served]:
    """A dashboard of the studies under `root`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with started(command(root, port), f"{address}/_stcore/health", log) as pid:
        yield Served(address, pid)


@contextmanager
def started(arguments: list[str], url: str, log: Path) -> Iterator[int]:
    """The process of a server, from the moment it answers at `url` on."""
    with log.open("w") as out:
        server = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait(url, server, log)
            yield server.pid
        finally:
            server.kill()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server
        except (urllib.error.URLError, ConnectionError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The dashboard did not start: {log.read_text()}") from None
            time.sleep(0.1)
        else:
            return


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=_ARGUMENTS
        )
        yield found
        found.close()


def settled(page: Page, timeout: float = 30_000, pause_ms: float = 150) -> None:
    """Wait until the script has run and nothing is being drawn any more."""
    page.wait_for_function(
        """() => document.querySelector('[data-testid=stApp]')
            ?.getAttribute('data-test-script-state') === 'notRunning'
            && !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')""",
        timeout=timeout,
    )
    page.wait_for_timeout(pause_ms)
