"""Look at studies in a browser; listens on this machine only, unless asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from mmstudy.cli.shared import ROOT, RootOption, StudyArgument, app, opened_study, say, user_path

__all__ = ["dashboard", "optuna_dashboard"]

Port = Annotated[int, typer.Option(min=1, max=65535, help="Where the browser finds it.")]


@app.command()
def dashboard(
    root: RootOption = ROOT,
    port: Port = 8501,
    listen: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need a guard.")
    ] = "127.0.0.1",
    sign_in: Annotated[
        Path | None,
        typer.Option(
            help="Secrets file: who may look, and who says who they are.", parser=user_path
        ),
    ] = None,
) -> None:
    """Open the results in a browser."""
    from mmstudy.serving import command

    arguments = command(root, port, listen=listen, sign_in=sign_in)
    _tell_address(port)
    sys.exit(subprocess.run(arguments, check=False).returncode)  # noqa: S603 - our own


@app.command("optuna-dashboard")
def optuna_dashboard(study: StudyArgument, root: RootOption = ROOT, port: Port = 8080) -> None:
    """Open a copy of the study's journal in Optuna's own dashboard."""
    from mmstudy.serving import optuna_command

    with optuna_command(opened_study(study, root).folder, port) as command:
        _tell_address(port)
        sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own


def _tell_address(port: int) -> None:
    say(f"http://127.0.0.1:{port} (from elsewhere: ssh -L {port}:127.0.0.1:{port})")
