"""A process that has imported everything, and forks one for each command it is asked to run.

One JSON object a line. `{"run": {...}}` is answered by the child's process, `{"poll": pid}` by its
exit status once it has one.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import traceback
from typing import Any

import captum.attr
import optuna.importance
import polars as pl
import pyarrow.parquet
import shap
import torch
import torch._dynamo  # which torch's optimizers import at their first step

from mmcaf.data.ingest import run as ingest
from mmstudy.benchmark import run as benchmark
from mmstudy.cli import main as command
from mmstudy.driver import drive, inline
from mmstudy.followup import confirm, explain, explain_fold

__all__ = ["main"]

LOADED = (captum.attr, optuna.importance, pl, pyarrow.parquet, shap, torch, ingest, benchmark)
LOADED += (drive, inline, confirm, explain, explain_fold)


def main() -> None:
    """Answer until the other end is closed."""
    if "RAY_ADDRESS" in os.environ:
        importlib.import_module("mmstudy.driver.on_ray")
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        if "run" in asked:
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                answers.close()
                _child(asked["run"])
            answers.write(json.dumps({"pid": pid}) + "\n")
        else:
            pid, status = os.waitpid(asked["poll"], os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if pid else None
            answers.write(json.dumps({"code": code}) + "\n")
        answers.flush()


def _child(asked: dict[str, Any]) -> None:
    """Become the command; never returns."""
    code = 70
    try:
        os.setsid()
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nowhere, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.stdin.close()
        os.environ.update(asked["environment"])
        os.chdir(asked["cwd"])
        ctypes.CDLL(None).soak_arm()
        torch.set_num_threads(1)
        for place, value in asked["settings"].items():
            module, _, name = place.rpartition(".")
            setattr(importlib.import_module(module), name, value)
        sys.argv = ["mmstudy", *asked["arguments"]]
        command.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0) if not isinstance(end.code, str) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
