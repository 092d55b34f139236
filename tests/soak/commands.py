"""Commands of `mmstudy` in processes that start at once, under the preloaded library."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mmstudy.provenance import CODE_VARIABLE

__all__ = ["Commands", "Running"]

TESTS = Path(__file__).parents[1]
_SECONDS = 120  # after which a command counts as hanging


class Commands:
    """Starts commands; used as a context.

    Args:
        library: the preloaded one.
        folder: where commands begin and logs lie.
        environment: of every command, over this process's.
    """

    def __init__(
        self, library: Path, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self._count = folder, 0
        paths = [str(TESTS), str(TESTS.parent), str(TESTS.parent / "platform")]
        paths += filter(None, [os.environ.get("PYTHONPATH", "")])
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SOAK_"))}
        own = {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(paths)}
        own[CODE_VARIABLE] = "soak"  # else git is asked, which the filter would kill
        self._environment = kept | own | dict(environment or {})

    def __enter__(self) -> Self:
        """Start the process that forks."""
        self._server = subprocess.Popen(
            [sys.executable, "-m", "soak.server"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(timeout=30)
        assert self._server.stdout
        self._server.stdout.close()

    def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        """One question to the process that forks."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer

    def start(
        self,
        *arguments: str | Path,
        settings: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
        **bad_luck: object,
    ) -> Running:
        """Begin a command.

        Args:
            arguments: of `mmstudy`.
            settings: values of modules (`package.module.NAME`) that are others in this process.
            variables: of the environment, for this process alone.
            bad_luck: what the library is to do, see `shim.c`: `folder`, `log`, `kill_at`, ...
        """
        self._count += 1
        log = self.folder / f"command-{self._count}.log"
        asked = {
            "arguments": [str(one) for one in arguments],
            "cwd": str(self.folder),
            "log": str(log),
            "environment": {f"SOAK_{k.upper()}": str(v) for k, v in bad_luck.items()}
            | dict(variables or {}),
            "settings": dict(settings or {}),
        }
        pid = self.ask({"run": asked})["pid"]
        return Running(self, pid, log, " ".join(asked["arguments"]))

    def finish(self, *arguments: str | Path, **bad_luck: Any) -> Running:
        """A command from its beginning to its end."""
        running = self.start(*arguments, **bad_luck)
        running.wait()
        return running


@dataclass
class Running:
    """A command, alive or ended."""

    of: Commands
    pid: int
    log: Path
    words: str
    code: int | None = None
    begun: float = field(default_factory=time.monotonic)

    def alive(self) -> bool:
        """Whether it still runs."""
        if self.code is None:
            self.code = self.of.ask({"poll": self.pid})["code"]
        return self.code is None

    def wait(self, seconds: float = _SECONDS) -> int:
        """Its exit code; -9 where it was killed."""
        end = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"{self.words} runs for {seconds} s: {self.said()}")
            time.sleep(0.003)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        """End it at once, with what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        while self.alive():
            time.sleep(0.002)

    def said(self) -> str:
        """What it has written."""
        return self.log.read_text("utf-8", errors="replace")

    def fault(self) -> str | None:
        """What is wrong with how it ended, if something is."""
        text = self.said()
        if "Traceback" not in text and self.code == 0:
            return None
        last = next((one for one in reversed(text.splitlines()) if one.strip()), "")
        kind = "traceback" if "Traceback" in text else f"exit {self.code}"
        return f"{kind}: {last.strip()[:300]}"
