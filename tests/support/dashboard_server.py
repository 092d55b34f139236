"""A dashboard that is really served, and a browser that really looks: one of each per session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = [
    "MMSTUDY",
    "Served",
    "browser",
    "chromium_path",
    "free_port",
    "served",
    "settled",
    "started",
]

MMSTUDY = (sys.executable, "-P", "-m", "mmstudy.cli.main")
"""What a user types as `mmstudy`: like it, it imports nothing from where it is typed."""

expect.set_options(timeout=120_000)  # a busy machine draws late, too
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


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(
    root: Path, log: Path, *options: str, port: int | None = None, cwd: Path | None = None
) -> Iterator[Served]:
    """A dashboard of the studies under `root`: `mmstudy dashboard` with more `options`."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = [*MMSTUDY, "dashboard", "--root", str(root), "--port", str(port), *options]
    with started(arguments, f"{address}/_stcore/health", log, cwd=cwd) as pid:
        yield Served(address, pid)


@contextmanager
def started(
    arguments: Sequence[str],
    url: str,
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """The process of a server, from the moment it answers at `url` on, be it with a refusal."""
    with log.open("w") as out:
        server = subprocess.Popen(
            arguments,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        try:
            _wait(url, server, log)
            yield server.pid
        finally:
            server.kill()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server
        except urllib.error.HTTPError:
            return
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


def settled(page: Page, timeout: float = 120_000, pause_ms: float = 150) -> None:
    """Wait until the script has run and nothing is being drawn any more."""
    page.wait_for_function(
        """() => document.querySelector('[data-testid=stApp]')
            ?.getAttribute('data-test-script-state') === 'notRunning'
            && !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')""",
        timeout=timeout,
    )
    page.wait_for_timeout(pause_ms)
