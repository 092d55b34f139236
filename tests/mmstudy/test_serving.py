"""How dashboards are served: the command line, the names, the sign-in file, and the end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmstudy import serving
from mmstudy.cli import dashboard
from mmstudy.errors import UsageError
from mmstudy.serving import SIGN_IN_MARK, command, is_loopback, names_host
from support.dashboard_server import MMSTUDY, free_port
from support.identity_provider import PUBLIC, sign_in_file

OLD = Path(__file__).parents[1] / "fixtures" / "study_v1"
EVERYWHERE = "0.0.0.0"  # noqa: S104
Command = Callable[..., tuple[int, str, str]]


def values(arguments: list[str], flag: str) -> list[str]:
    return [arguments[i + 1] for i, one in enumerate(arguments) if one == f"--{flag}"]


def told(arguments: list[str]) -> list[str]:
    """What the server itself is told, after the settings of Streamlit."""
    return arguments[arguments.index("--") + 1 :]


@pytest.fixture
def can_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda _: object())


def test_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    found = command(tmp_path, 8600)
    assert values(found, "server.address") == ["127.0.0.1"]
    assert values(found, "client.toolbarMode") == ["viewer"]
    assert values(found, "secrets.files") == []
    assert told(found) == [str(tmp_path), "127.0.0.1", "localhost", "::1"]


def test_nothing_is_imported_from_where_it_is_typed(tmp_path: Path) -> None:
    assert command(tmp_path, 8600)[:3] == [sys.executable, "-P", "-m"]


@pytest.mark.usefixtures("can_sign_in")
def test_sign_in_adds_the_name_people_come_back_to(tmp_path: Path) -> None:
    file = sign_in_file(tmp_path / "secrets.toml", address=PUBLIC)
    found = command(tmp_path, 8600, sign_in=file)
    assert values(found, "secrets.files") == [str(file)]
    assert values(found, "server.address") == ["127.0.0.1"]
    assert told(found)[1] == SIGN_IN_MARK
    assert told(found)[2:] == ["127.0.0.1", "localhost", "::1", "results.hospital.example"]


def test_another_address_adds_this_machines_name_and_no_other(tmp_path: Path) -> None:
    found = told(command(tmp_path, 8600, listen=EVERYWHERE))
    assert found[1:4] == ["127.0.0.1", "localhost", "::1"]
    assert found[4:] == [socket.gethostname().lower(), EVERYWHERE]


@pytest.mark.usefixtures("can_sign_in")
def test_with_a_sign_in_another_address_adds_no_name(tmp_path: Path) -> None:
    file = sign_in_file(tmp_path / "secrets.toml", address=PUBLIC)
    found = told(command(tmp_path, 8600, listen=EVERYWHERE, sign_in=file))
    assert found[2:] == ["127.0.0.1", "localhost", "::1", "results.hospital.example"]


def test_names_can_be_added(tmp_path: Path) -> None:
    found = command(tmp_path, 8600, hosts=["Results.example", "10.0.0.7", "[fe80::1]"])
    assert told(found)[4:] == ["results.example", "10.0.0.7", "fe80::1"]


@pytest.mark.parametrize(
    "host", ["", "*", "*.example", "http://a.example", "a.example:8501", "a/b", "--sign-in", "a b"]
)
def test_what_is_no_name_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError, match="--host is the name or address in the browser's address"):
        command(tmp_path, 8600, hosts=[host])


@pytest.mark.parametrize(
    ("header", "held"),
    [
        ("localhost", True),
        ("LOCALHOST:8501", True),
        ("localhost.:8501", True),
        ("127.0.0.1:8501", True),
        ("[::1]:8501", True),
        ("10.0.0.7:8501", True),  # the address on which the request came in
        (None, False),
        ("", False),
        (":8501", False),
        (".", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example@localhost", False),
        ("localhost@evil.example", False),
        ("localhost/evil.example", False),
        ("localhost#.evil.example", False),
        ("localhost\t", False),
        ("localhost, evil.example", False),
        ("localhost:99999", False),
        ("localhost:x", False),
        ("[::1", False),
        ("10.0.0.8", False),
    ],
)
def test_a_host_is_one_of_the_names_exactly(header: str | None, held: bool) -> None:
    assert names_host(header, ("localhost", "127.0.0.1", "::1"), "10.0.0.7") is held


def test_only_loopback_addresses_are_of_this_machine_alone() -> None:
    assert [one for one in ("127.0.0.1", "::1", EVERYWHERE, "::", "") if is_loopback(one)] == [
        "127.0.0.1",
        "::1",
    ]


@pytest.mark.usefixtures("can_sign_in")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", None, "KeyError"),
        ("[auth]", "[auth", "TOMLDecodeError"),
        ("client_id", "other", "KeyError: 'client_id'"),
        ("[mmstudy]", "[mmstudi]", "KeyError: 'mmstudy'"),
        ('["somebody@hospital.example"]', '"somebody@hospital.example"', "a list of e-mails"),
        (PUBLIC, "x", "whole address of /oauth2callback here"),
        (PUBLIC, "http://results.hospital.example", r"http:// is allowed on\s+this machine only"),
        ("/oauth2callback", "/callback", "whole address of /oauth2callback here"),
        ("0123456789abcdef", "a", r"at least 32 characters.+got 4"),
    ],
)
def test_a_wrong_sign_in_file_is_told(tmp_path: Path, old: str, new: str | None, said: str) -> None:
    file = sign_in_file(tmp_path / "s.toml", address=PUBLIC)
    file.write_text("" if new is None else file.read_text().replace(old, new))
    with pytest.raises(UsageError, match=said):
        command(tmp_path, 8600, sign_in=file)


def test_it_says_what_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'mmcaf-study\[auth\]'"):
        command(tmp_path, 8600, sign_in=tmp_path / "s.toml")


def test_a_file_that_streamlit_would_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end in \.toml, got auth\.secrets"):
        command(tmp_path, 8600, sign_in=tmp_path / "auth.secrets")


@pytest.mark.usefixtures("can_sign_in")
def test_who_opens_it_to_others_is_told(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the moment in which the command would become the server."""
    begun: list[list[str]] = []

    def become(_: str, arguments: list[str]) -> None:
        begun.append(arguments)
        raise SystemExit

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", become)
    open_to_all = ("dashboard", "--listen", EVERYWHERE, "--port", "8600")
    assert "Whoever reaches 0.0.0.0:8600 sees every study" in command(*open_to_all)[2]
    assert "sees every study" not in command("dashboard")[2]
    file = sign_in_file(tmp_path / "s.toml", address=PUBLIC)
    assert "sees every study" not in command(*open_to_all, "--sign-in", str(file))[2]
    assert len(begun) == 3


def test_it_says_how_to_install_optunas_dashboard(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: None)
    code, stdout, stderr = command("optuna-dashboard", str(OLD))
    assert (code, stdout) == (2, "")
    assert "pip install 'mmcaf-study[optuna]'" in stderr


@contextmanager
def looked_at(arguments: list[str], port: int, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server, of which a browser asks something just now: its connection stays open."""
    scratch.mkdir()
    server = subprocess.Popen(
        [*MMSTUDY, *arguments, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as browser:
                    host = f"Host: 127.0.0.1:{port}\r\n"
                    browser.sendall(f"GET /_stcore/stream HTTP/1.1\r\n{host}{SOCKET}\r\n".encode())
                    assert browser.recv(8).startswith(b"HTTP/1.")
                    yield server
                    return
            except ConnectionRefusedError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        server.kill()
        server.wait()


SOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dashboard", "optuna-dashboard"])
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_the_server_ends_with_the_command(tmp_path: Path, name: str, number: str) -> None:
    shutil.copytree(OLD, tmp_path / "root" / "s")
    study = [] if name == "dashboard" else ["s"]
    port = free_port()
    arguments = [name, *study, "--root", str(tmp_path / "root")]
    with looked_at(arguments, port, tmp_path / "scratch") as server:
        server.send_signal(getattr(signal, number))
        server.wait(timeout=60)
        deadline = time.monotonic() + 60
        while answers(port) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not answers(port)
    assert [*(tmp_path / "scratch").iterdir()] == []  # no copy of the journal is left
    before, after = (
        (one / "optuna.journal").read_bytes() for one in (OLD, tmp_path / "root" / "s")
    )
    assert before == after


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
