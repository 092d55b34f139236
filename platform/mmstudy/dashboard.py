"""The command lines that serve dashboards: this machine only unless asked, no request to others."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from mmstudy.copies import pull_journal
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.paths import StudyPaths

__all__ = ["app_path", "command", "optuna_command"]


def app_path() -> Path:
    """`app.py` of a checkout, or of an installed wheel."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "dashboards" / "app.py"
    return checkout if checkout.is_file() else here.parent / "_dashboards" / "app.py"


def command(root: Path, port: int, listen: str = "127.0.0.1") -> list[str]:
    """Arguments that run Streamlit on `listen`:`port` for the studies under `root`."""
    settings = {
        "server.address": listen,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "type",
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    streamlit = [sys.executable, "-m", "streamlit", "run", str(app_path())]
    return [*streamlit, *flags, "--", str(root.resolve())]


@contextmanager
def optuna_command(paths: StudyPaths, port: int) -> Iterator[list[str]]:
    """Arguments that run Optuna's dashboard on 127.0.0.1:`port` on a copy of the journal.

    A copy, because it can rename and delete what it shows, and knows no read-only mode. The copy is
    deleted afterwards, with whatever was done to it.

    Raises:
        UsageError: it is not installed; says how to.
        MMStudyError: the study has no journal.
    """
    if find_spec("optuna_dashboard") is None:
        raise UsageError(
            "optuna-dashboard is not installed: pip install 'mmcaf-study[optuna]'. "
            "`mmstudy dashboard` needs nothing more."
        )
    pull_journal(paths)
    if not paths.journal.exists():
        raise MMStudyError(f"{paths.name} has no {paths.journal.name}: it was copied in part.")
    with tempfile.TemporaryDirectory(prefix="mmstudy-") as folder:
        copy = Path(folder) / "optuna.journal"
        shutil.copyfile(paths.journal, copy)
        program = "from optuna_dashboard._cli import main; main()"
        address = ["--host", "127.0.0.1", "--port", str(port)]
        storage = ["--storage-class", "JournalFileStorage", str(copy)]
        yield [sys.executable, "-c", program, *address, *storage]
