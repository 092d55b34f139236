"""What stands before every page: who may ask, under which name, and what every answer says."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256

import signin
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmstudy.serving import HEADERS, names_host

__all__ = ["Guard", "content_policy"]

_READS = ("GET", "HEAD")
_STATIC = "/static/"  # Streamlit's own files, the same for everybody
_LOOK_AGAIN_S = 5.0
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)

_STRANGE_NAME = (
    "This dashboard does not answer to that name. Open it under the name of the machine it runs on "
    "or, if you run it, start it with --host and the name in your browser's address line.\n"
)
_STRANGE_PAGE = (
    "Another page asks for this. If a proxy stands before the dashboard, it must pass on the Host "
    "of the request.\n"
)


class Guard:
    """ASGI middleware around Streamlit; nothing reaches it that is refused here.

    Refused are: a Host that is none of `hosts`, a page of another origin, whatever only writes,
    and, where there is a sign-in, who has not signed in or is not on the list.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], headers: Mapping[str, str], sign_in: bool
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._headers = headers
        self._doors = signin.Doors() if sign_in else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        send = self._told(asked, send)
        refusal = self._refusal(asked)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["type"] == "websocket" and self._doors is not None:
            await self._app(scope, _while_let_in(self._doors, asked, receive, send), send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, asked: HTTPConnection) -> Response | None:
        """The answer to who may not ask; None to who may."""
        named, origin = asked.headers.getlist("host"), asked.headers.get("origin")
        host = named[0] if len(named) == 1 else None
        if not names_host(host, self._hosts, (asked.scope.get("server") or [None])[0]):
            return PlainTextResponse(_STRANGE_NAME, 403)
        if origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse(_STRANGE_PAGE, 403)
        if asked.scope.get("method", "GET") not in _READS:
            return PlainTextResponse("Nothing is written here.\n", 405, {"Allow": "GET, HEAD"})
        return self._doors.refusal(asked) if self._doors is not None else None

    def _told(self, asked: HTTPConnection, send: Send) -> Send:
        """`send` that adds the headers of every answer."""
        kept = asked.scope["path"].startswith(_STATIC)
        secure = self._doors is not None and self._doors.secure

        async def tell(message: Message) -> None:
            if message["type"].endswith(".start"):  # of an answer or of a refused connection
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if not kept:
                    headers["Cache-Control"] = "no-store"
                if secure:
                    message["headers"] = [*map(_secured, message["headers"])]
            await send(message)

        return tell


def _while_let_in(
    doors: signin.Doors, asked: HTTPConnection, receive: Receive, send: Send
) -> Receive:
    """`receive` of a connection that ends within seconds once its user may look no more."""

    async def next_message() -> Message:
        while doors.refusal(asked) is None:
            try:
                return await asyncio.wait_for(receive(), _LOOK_AGAIN_S)
            except TimeoutError:
                continue
        await send({"type": "websocket.close", "code": 1008})
        return {"type": "websocket.disconnect", "code": 1008}

    return next_message


def _secured(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A header as it was; a cookie travels by https only."""
    name, value = header
    return (name, value + b"; Secure") if name.lower() == b"set-cookie" else header


def content_policy(page: str) -> dict[str, str]:
    """The headers of every answer; `page` is the HTML in which Streamlit's program starts.

    Only this server's files are run and asked. Streamlit writes its styles into the page, so those
    are allowed; of scripts in the page only the ones that `page` has.
    """
    inline = " ".join(f"'sha256-{_digest(script)}'" for script in _INLINE.findall(page))
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' {inline}".strip(),
        "style-src": "'self' 'unsafe-inline'",
        "font-src": "'self' data:",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    said = "; ".join(f"{what} {who}" for what, who in policy.items())
    return {**HEADERS, "Content-Security-Policy": said}


def _digest(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
