"""Progress on stderr: a line that rewrites itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

from mmstudy.driver.tally import Standing

__all__ = ["LogRelay", "Reporter"]

_STANDING = "trials "  # how the line begins that says how a study stands
_EVERY_SECONDS = 10.0  # between two lines where nobody watches


class Reporter:
    """Shows one changing line at a time."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._last = 0.0
        self._width = 0

    def steps(self, what: str, done: int, of: int) -> None:
        """`done` of `of` steps of long work."""
        self._show(f"{what}: {done}/{of}", final=done == of)

    def standing(self, now: Standing) -> None:
        """How a study stands: done, running, pruned, failed, best, time left."""
        done = now.complete + now.pruned
        parts = [
            f"{_STANDING}{done}/{now.asked}",
            f"{now.running} running",
            f"{now.pruned} pruned",
            f"{now.failed} failed",
        ]
        if now.infeasible:
            parts.append(f"{now.infeasible} infeasible")
        if now.best is not None:
            parts.append(f"best of the search so far {now.best:.3f} (trial {now.best_number})")
        if now.stopping == "interrupted":
            parts.append("stopping after this epoch (once more to stop at once)")
        elif now.seconds_left is not None:
            parts.append(f"about {_duration(now.seconds_left)} left")
        self._show(" | ".join(parts), final=done >= now.asked and not now.running)

    def _show(self, text: str, *, final: bool) -> None:
        if self._tty:
            end = "\n" if final else ""
            sys.stderr.write(f"\r{text.ljust(self._width)}{end}")
            self._width = 0 if final else len(text)
        elif final or time.monotonic() - self._last > _EVERY_SECONDS:
            sys.stderr.write(text + "\n")
            self._last = time.monotonic()
        sys.stderr.flush()


class LogRelay:
    """A driver's log from elsewhere; on a terminal its progress lines rewrite one line."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._pending = ""  # a line whose end has not come yet
        self._width = 0  # of the progress line that stands there, if one does

    def write(self, text: str) -> None:
        """Take the next piece of the log."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._line(line)
        sys.stderr.flush()

    def close(self) -> None:
        """Show what is left."""
        if self._pending:
            self._line(self._pending)
        if self._width:
            sys.stderr.write("\n")
        self._pending, self._width = "", 0

    def _line(self, line: str) -> None:
        if self._tty and line.startswith(_STANDING):
            sys.stderr.write(f"\r{line.ljust(self._width)}")
            self._width = len(line)
            return
        if self._width:
            sys.stderr.write("\n")
            self._width = 0
        sys.stderr.write(line + "\n")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
