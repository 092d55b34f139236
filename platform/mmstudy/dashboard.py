"""The command line that serves the dashboard: this machine only, no request to anyone else."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["app_path", "command"]


def app_path() -> Path:
    """`app.py` of a checkout, or of an installed wheel."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "dashboards" / "app.py"
    return checkout if checkout.is_file() else here.parent / "_dashboards" / "app.py"


def command(root: Path, port: int) -> list[str]:
    """Arguments that run Streamlit on 127.0.0.1:`port` for the studies under `root`."""
    settings = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "type",
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    streamlit = [sys.executable, "-m", "streamlit", "run", str(app_path())]
    return [*streamlit, *flags, "--", str(root.resolve())]
