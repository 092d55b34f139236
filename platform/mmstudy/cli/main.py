"""The command `mmstudy`. stdout carries data only; progress and faults go to stderr.

Exit codes: see `mmstudy.errors`. Everything heavy is imported inside the command that needs it, so
that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from mmcaf.errors import DataError
from mmcaf.files.atomic import SHARED_VARIABLE, is_shared
from mmstudy.cli.shared import app
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.report.escape import visible

# isort: off
# Importing the themes adds their commands; the help lists them in this order.
from mmstudy.cli import benchmark, data, explain, run, submit  # noqa: F401
from mmstudy.cli import check, dashboard, followup, housekeeping, report, studies  # noqa: F401
# isort: on

__all__ = ["app", "main", "told"]


def _tell_version(asked: bool) -> None:
    if asked:
        from mmstudy.provenance import package_version

        sys.stdout.write(f"{package_version()}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version."),
    ] = False,
) -> None:
    """Hyperparameter studies of MMCAF-Net: run them, read them, compare them with the paper."""


def main() -> None:
    """Entry point: run a command, turn what it raises into a sentence and an exit code."""
    debug = _asked("--debug")
    if _asked("--shared"):
        os.environ[SHARED_VARIABLE] = "1"  # processes started from here are told by it
    if not is_shared():
        os.umask(0o077)  # also for what Ray, Optuna and others write
    try:
        app()
    except (MMStudyError, DataError, OSError, ValueError, ModuleNotFoundError) as raised:
        error = _explained(raised)
        if debug or isinstance(error, ModuleNotFoundError):
            raise
        sys.stderr.write(f"\n{visible(told(error))}\n")
        code = getattr(error, "exit_code", 1 if isinstance(error, OSError) else 2)
        sys.exit(int(code))
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.exit(130)


def told(error: Exception) -> str:
    """What went wrong, in words; a fault of the system names its file, and what can be done."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if error.filename is None:  # the words are ours, unless a library lost the name
        ours = error.errno is None or error.strerror != os.strerror(error.errno)
        return error.strerror if ours else f"{error.strerror}; --debug shows where."
    return (
        f"{os.fsdecode(error.filename)}: {error.strerror}. Look what it is, whose, and who may "
        "read and write it; copy it there again as your own, or choose another folder."
    )


def _asked(flag: str) -> bool:
    """Whether a flag that every command takes was given, at whatever place; it is taken away."""
    given = flag in sys.argv[1:]
    if given:
        sys.argv.remove(flag)
    return given


def _explained(error: Exception) -> Exception:
    """A missing package of the extra `run` as what to do about it; other errors as they are."""
    if not isinstance(error, ModuleNotFoundError):
        return error
    from mmstudy.provenance import INSTALL_RUN, RUN_IMPORTS

    absent = (error.name or "").partition(".")[0]
    if absent not in RUN_IMPORTS:
        return error
    return UsageError(
        f"This command needs {absent}, which an install that only reads results leaves out: "
        f"{INSTALL_RUN}."
    )


if __name__ == "__main__":
    main()
