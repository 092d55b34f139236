"""The server of the pages: Streamlit behind the guard. `mmstudy dashboard` runs this file.

Its arguments are the folder of studies, maybe the mark of the sign-in, and the names it answers to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from guard import Guard, content_policy
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mmstudy.serving import SIGN_IN_MARK

__all__ = ["app"]

HEADERS = content_policy(Path(st.__file__).with_name("static").joinpath("index.html").read_text())


def broken(request: Request, error: Exception) -> Response:
    """The answer where Streamlit itself failed; what happened stands in the log."""
    del request, error
    return PlainTextResponse("The server failed.\n", 500, HEADERS)


app = st.App(
    Path(__file__).with_name("app.py"),
    middleware=[
        Middleware(
            Guard,
            hosts=frozenset(one for one in sys.argv[2:] if one != SIGN_IN_MARK),
            headers=HEADERS,
            sign_in=SIGN_IN_MARK in sys.argv[2:],
        )
    ],
    exception_handlers={Exception: broken},
)
