"""Look at studies in a browser; listens on this machine only, unless asked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mmstudy.cli.shared import ROOT, RootOption, StudyArgument, app, opened_study, say, user_path
from mmstudy.errors import UsageError

__all__ = ["dashboard", "optuna_dashboard"]

Port = Annotated[int, typer.Option(min=1, max=65535, help="Where the browser finds it.")]


@app.command()
def dashboard(
    root: RootOption = ROOT,
    port: Port = 8501,
    listen: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need a guard.")
    ] = "127.0.0.1",
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name it answers to beside this machine's; can be repeated."),
    ] = None,
    sign_in: Annotated[
        Path | None,
        typer.Option(
            help="Secrets file: who may look, and who says who they are.", parser=user_path
        ),
    ] = None,
) -> None:
    """Open the results in a browser."""
    from mmstudy.serving import become, command, is_loopback

    arguments = command(root, port, listen=listen, hosts=host or [], sign_in=sign_in)
    if sign_in is None and not is_loopback(listen):
        say(f"Whoever reaches {listen}:{port} sees every study under {root}: there is no sign-in.")
    _tell_address(port)
    become(arguments)


@app.command("optuna-dashboard")
def optuna_dashboard(study: StudyArgument, root: RootOption = ROOT, port: Port = 8080) -> None:
    """Open a copy of the study's journal in Optuna's own dashboard."""
    if find_spec("optuna_dashboard") is None:
        raise UsageError(
            "optuna-dashboard is not installed: pip install 'mmcaf-study[optuna]'. "
            "`mmstudy dashboard` needs nothing more."
        )
    from mmstudy.search.optuna_pages import serve

    folder = opened_study(study, root).folder
    _tell_address(port)
    serve(folder, port)


def _tell_address(port: int) -> None:
    say(f"http://127.0.0.1:{port} (from elsewhere: ssh -L {port}:127.0.0.1:{port})")
