"""A process that has imported everything and forks a guarded child for each command.

One JSON object a line is asked, and one answered: see `_child` and `_watched`.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch

import matrix.pages
import mmcaf.data.ingest.decode
import mmcaf.data.ingest.report
import mmcaf.data.synthetic.write
import mmstudy.cli.progress
import mmstudy.cluster.submit
import mmstudy.comparison.comparison
import mmstudy.followup.evaluate
import mmstudy.report.comparison
import mmstudy.search.samplers
import mmstudy.spec.reading
from matrix import base, wrong
from matrix.guard import Guard
from mmstudy.cli import main as command
from soak.server import LOADED

__all__ = ["main"]

LOADED += (matrix.pages, mmcaf.data.ingest.report, mmstudy.cli.progress, mmstudy.cluster.submit)
LOADED += (mmcaf.data.synthetic.write, mmcaf.data.ingest.decode)
LOADED += (mmstudy.comparison.comparison, mmstudy.report.comparison, mmstudy.followup.evaluate)
LOADED += (mmstudy.search.samplers, mmstudy.spec.reading)

_MOST_MEMORY = 16 << 30
_CAPABILITIES = 0x20080522  # version 3 of the kernel's structure


def main() -> None:
    """Answer until the other end is closed."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(_watched(json.loads(line))) + "\n")
        answers.flush()


def _watched(asked: dict[str, Any]) -> dict[str, Any]:
    """What a child did: `code` (None: it hung), `faults`, `out`, `err`."""
    begun = time.monotonic()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(asked, writer)
    os.close(writer)
    parts, end = list[bytes](), begun + asked["seconds"]
    while (left := end - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
        parts.append(os.read(reader, 1 << 16))
        if not parts[-1]:
            break
    hung = not parts or bool(parts[-1])
    if hung:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    told: dict[str, Any] = {"code": None, "faults": [], "out": "", "err": ""}
    if hung:
        told["faults"] = ["it hangs"]
    else:
        try:
            told = json.loads(b"".join(parts))
        except ValueError:
            told["faults"] = [f"it ended without a word: status {status}"]
    return told | {"seconds": time.monotonic() - begun}


def _child(asked: dict[str, Any], writer: int) -> None:
    """Become the command; never returns."""
    told: dict[str, Any] = {"code": None, "faults": []}
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(nowhere, target)
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        os.environ.update(asked["environment"])
        tempfile.tempdir = None  # it was chosen before
        os.chdir(asked["cwd"])
        sys.dont_write_bytecode = True
        torch.set_num_threads(1)
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
        _give_up_powers()
        guard = Guard([Path(one) for one in asked["own"]], [Path(one) for one in asked["read"]])
        if asked["guarded"]:
            guard.watch()
        told |= {"code": _run(asked["arguments"]), "faults": guard.faults}
    except BaseException:
        last = traceback.format_exc().splitlines()
        told["faults"] = ["traceback: " + " | ".join(one.strip() for one in last[-9:])]
    finally:
        told |= {"out": _text(sys.stdout), "err": _text(sys.stderr)}
        content = json.dumps(told).encode()
        while content:
            content = content[os.write(writer, content) :]
        os._exit(0)


def _run(arguments: list[str]) -> int:
    match arguments[0]:
        case "pages":
            return matrix.pages.read(*arguments[1:])
        case "base":
            base.interrupted(*map(Path, arguments[1:]))
            return 0
        case "wrong":
            return wrong.does(arguments[1], Path(arguments[2]))
    sys.argv = ["mmstudy", *arguments]
    try:
        command.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _text(stream: Any) -> str:
    return str(stream.getvalue())[-20_000:] if isinstance(stream, io.StringIO) else ""


def _give_up_powers() -> None:
    """Root is refused what the modes of files refuse to others, as any user is."""
    if os.geteuid() == 0:
        head, none = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
        if ctypes.CDLL(None, use_errno=True).capset(head, none):
            raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    main()
