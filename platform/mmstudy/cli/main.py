"""The command `mmstudy`. stdout carries data only; progress and faults go to stderr.

Exit codes: see `mmstudy.errors`. Everything heavy is imported inside the command that needs it, so
that `--help` answers at once.
"""

from __future__ import annotations

import sys

from mmcaf.errors import DataError
from mmstudy.cli import benchmark, data, explain, run, submit
from mmstudy.cli import dashboard as serve
from mmstudy.cli import followup as after
from mmstudy.cli import housekeeping as keep
from mmstudy.cli import studies as look
from mmstudy.cli.shared import app
from mmstudy.errors import MMStudyError

__all__ = ["app", "main"]

# Importing them has added their commands.
_THEMES = (data, run, submit, look, after, benchmark, explain, keep, serve)


def main() -> None:
    """Entry point: run a command, turn what it raises into a sentence and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (MMStudyError, DataError, OSError, ValueError) as error:
        if debug:
            raise
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sys.stderr.write(f"\n{message}\n")
        code = getattr(error, "exit_code", 1 if isinstance(error, OSError) else 2)
        sys.exit(int(code))
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
