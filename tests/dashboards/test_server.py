"""The server as it is started: its names, its headers, its address, and the folder it stands in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from support.dashboard_server import served

pytestmark = pytest.mark.slow

PATHS = {  # path: what our own browser is answered
    "/": 200,
    "/trials": 200,
    "/favicon.png": 200,
    "/static/js/nosuch.js": 200,  # the page, as everywhere
    "/media/nosuch.png": 404,
    "/component/no.such/index.html": 404,
    "/_stcore/health": 200,
    "/_stcore/metrics": 200,
    "/_stcore/host-config": 200,
    "/_stcore/nosuch": 200,  # the page, which says so
    "//evil.example/x": 400,
    "/%2e%2e/%2e%2e/etc/passwd": 400,
}
SAID = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STRANGER = {  # what a received folder may hold
    "streamlit.py": "open('RAN', 'w'); raise SystemExit('ran')",
    "typer.py": "open('RAN', 'w'); raise SystemExit('ran')",
    ".streamlit/config.toml": '[server]\nbaseUrlPath = "elsewhere"\n',
}


def answer(
    address: str, path: str, *, method: str = "GET", at: str | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """What is answered at `at`, if it is not the address, to somebody who names `address`."""
    netloc = address.removeprefix("http://")
    connection = HTTPConnection(at or netloc, timeout=120)
    connection.request(method, path, headers={"Host": netloc, **headers})
    found = connection.getresponse()
    content = found.read()
    connection.close()
    return found, content


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a dashboard that somebody starts while standing in a stranger's folder."""
    folder = tmp_path_factory.mktemp("received")
    for name, text in STRANGER.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with served(folder, tmp_path_factory.mktemp("server") / "log", cwd=folder) as found:
        yield found.address
    assert not (folder / "RAN").exists()


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers(address: str, path: str) -> None:
    found, _ = answer(address, path)
    assert found.status == PATHS[path]
    assert {name: found.getheader(name) for name in SAID} == SAID
    policy = str(found.getheader("Content-Security-Policy"))
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
    assert found.getheader("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.1.2.3"])
def test_another_name_is_answered_nothing(address: str, path: str, host: str) -> None:
    found, content = answer(address, path, Host=host)
    assert found.status == 403
    assert content.startswith(b"This dashboard does not answer to that name.")
    assert {name: found.getheader(name) for name in SAID} == SAID


def test_a_page_elsewhere_opens_no_connection(address: str) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    for origin, status in ((address, 101), ("http://evil.example", 403), ("null", 403)):
        netloc = address.removeprefix("http://")
        connection = HTTPConnection(netloc, timeout=120)
        connection.request("GET", "/_stcore/stream", headers={**upgrade, "Origin": origin})
        assert connection.getresponse().status == status
        connection.close()


def test_nothing_is_uploaded(address: str) -> None:
    found, _ = answer(address, "/_stcore/upload_file/a/b", method="PUT")
    assert found.status == 405


def test_it_listens_on_127_0_0_1_only(address: str) -> None:
    port = int(address.rpartition(":")[2])
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.2", port)) != 0


def test_on_other_addresses_it_answers_to_its_own_names_and_those_given(tmp_path: Path) -> None:
    options = ("--listen", "0.0.0.0", "--host", "results.example")  # noqa: S104
    with served(tmp_path, tmp_path / "log", *options) as found:
        port = found.address.rpartition(":")[2]
        at = f"127.0.0.2:{port}"
        for host in ("127.0.0.2", "localhost", "results.example", socket.gethostname()):
            assert answer(f"{host}:{port}", "/", at=at)[0].status == 200
        for host in ("evil.example", "127.0.0.3", "x.results.example"):
            assert answer(f"{host}:{port}", "/", at=at)[0].status == 403
    said = (tmp_path / "log").read_text()
    assert "Whoever reaches 0.0.0.0" in said
    assert "URL" not in said  # Streamlit would have asked others for it
