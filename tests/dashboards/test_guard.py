"""What stands before every page, alone: who may ask, and what every answer says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from guard import Guard, content_policy
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from streamlit.runtime.secrets import secrets_singleton

from support.identity_provider import PUBLIC, sealed, sign_in_file

HEADERS = content_policy("<html><script>a()</script><script src='b.js'></script></html>")
INSIDE = "what is behind the guard"


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers everything."""
    answer = PlainTextResponse(INSIDE, headers={"Cache-Control": "public"})
    answer.set_cookie("seal", "x")
    await answer(scope, receive, send)


GUARD = Guard(pages, hosts={"localhost", "results.example"}, headers=HEADERS, sign_in=False)


def wanted(
    *headers: tuple[str, str], path: str = "/", method: str = "GET", kind: str = "http"
) -> Scope:
    """A request as ASGI hands it on."""
    scope: Scope = {
        "type": kind,
        "path": path,
        "server": ("127.0.0.1", 8501),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "extensions": {"websocket.http.response": {}},
    }
    return {**scope, "method": method} if kind == "http" else scope


def asked(
    *headers: tuple[str, str], guard: Guard = GUARD, **how: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer."""
    scope = wanted(*headers, **how)
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    asyncio.run(guard(scope, receive, send))
    start, body = told
    said = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], said, body["body"].decode()


@pytest.mark.parametrize(
    "host", ["localhost:8501", "LOCALHOST", "results.example", "127.0.0.1:8501"]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_who_calls_us_by_name_is_answered(host: str, kind: str) -> None:
    assert asked(("host", host), kind=kind)[::2] == (200, INSIDE)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "evil.example")],
        [("host", "localhost.evil.example")],
        [("host", "localhost"), ("host", "evil.example")],
        [("host", "localhost"), ("host", "localhost")],
        [("host", "evil.example"), ("x-forwarded-host", "localhost")],
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", ["/", "/static/js/index.js", "/media/x.png", "/_stcore/stream"])
def test_who_calls_us_otherwise_is_not(
    headers: list[tuple[str, str]], kind: str, path: str
) -> None:
    status, said, text = asked(*headers, kind=kind, path=path)
    assert status == 403
    assert "start it with --host" in text
    assert said["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost",
        "http://localhost:8502",
        "http://localhost:8501.evil.example",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_page_elsewhere_asks_in_vain(origin: str, kind: str) -> None:
    status, _, text = asked(("host", "localhost:8501"), ("origin", origin), kind=kind)
    assert status == 403
    assert INSIDE not in text


def test_our_own_page_is_answered() -> None:
    for own in ("http://localhost:8501", "https://localhost:8501"):
        assert asked(("host", "localhost:8501"), ("origin", own))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT"])
def test_nothing_is_written(method: str) -> None:
    status, said, text = asked(("host", "localhost"), method=method)
    assert (status, said["allow"]) == (405, "GET, HEAD")
    assert INSIDE not in text


def test_every_answer_says_what_a_browser_may_do_with_it() -> None:
    said = asked(("host", "localhost"))[1]
    assert said["x-content-type-options"] == "nosniff"
    assert said["x-frame-options"] == "DENY"
    assert said["referrer-policy"] == "no-referrer"
    assert said["cache-control"] == "no-store"
    assert asked(("host", "localhost"), path="/static/x.js")[1]["cache-control"] == "public"


def test_only_scripts_of_this_server_run() -> None:
    policy = dict(one.split(" ", 1) for one in HEADERS["Content-Security-Policy"].split("; "))
    # printf 'a()' | openssl dgst -sha256 -binary | base64
    assert policy["script-src"] == "'self' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4='"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"


@pytest.mark.parametrize(("address", "secure"), [(PUBLIC, True), ("http://127.0.0.1:8501", False)])
def test_cookies_travel_as_people_come(secrets: Path, address: str, secure: bool) -> None:
    sign_in_file(secrets, address=address)
    secrets_singleton._reset()
    guard = Guard(pages, hosts={"localhost"}, headers=HEADERS, sign_in=True)
    said = asked(("host", "localhost"), path="/auth/login", guard=guard)[1]
    assert said["set-cookie"].endswith("; Secure") is secure


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("path", ["/", "/media/x.png", "/_stcore/metrics", "/static/js/index.js"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_with_a_sign_in_everything_asks_for_it(path: str, kind: str) -> None:
    guard = Guard(pages, hosts={"localhost"}, headers=HEADERS, sign_in=True)
    host = ("host", "localhost")
    status, said, text = asked(host, path=path, kind=kind, guard=guard)
    assert (status, text) == (401, "Sign in to see the studies.\n")
    assert said["x-frame-options"] == "DENY"
    cookie = ("cookie", f"_streamlit_user={sealed(PUBLIC)}")
    if kind == "http":
        assert asked(host, cookie, path=path, guard=guard)[::2] == (200, INSIDE)


@pytest.mark.usefixtures("secrets")
def test_a_connection_ends_when_its_user_has_signed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard._LOOK_AGAIN_S", 0.01)
    heard: list[Message] = []
    told: list[Message] = []

    async def talk(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            heard.append(await receive())
            heard.append(await receive())

    guard = Guard(talk, hosts={"localhost"}, headers=HEADERS, sign_in=True)
    cookie = ("cookie", f"_streamlit_user={sealed(PUBLIC, age_s=60)}")

    async def both() -> None:
        waiting: asyncio.Queue[Message] = asyncio.Queue()

        async def send(message: Message) -> None:
            told.append(message)

        scope = wanted(("host", "localhost"), cookie, path="/_stcore/stream", kind="websocket")
        open_one = asyncio.create_task(guard(scope, waiting.get, send))
        await waiting.put({"type": "websocket.connect"})
        await asyncio.sleep(0.1)
        assert not open_one.done()
        out = wanted(("host", "localhost"), cookie, path="/auth/logout")
        await guard(out, waiting.get, send)
        await asyncio.wait_for(open_one, 5)

    asyncio.run(both())
    assert [one["type"] for one in heard] == ["websocket.connect", "websocket.disconnect"]
    assert told[-1] == {"type": "websocket.close", "code": 1008}
