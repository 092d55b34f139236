"""Who is let in: the command line, the list of e-mails, and what a stranger sees."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mmstudy import serving as dashboard
from mmstudy.errors import UsageError
from mmstudy.serving import SIGN_IN_MARK, app_path, command

SECRETS = """
[auth]
redirect_uri = "https://results.hospital.example/oauth2callback"
cookie_secret = "{secret}"
client_id = "dashboard"
client_secret = "{secret}"
server_metadata_url = "https://sso.hospital.example/.well-known/openid-configuration"
[mmstudy]
allowed = ["somebody@hospital.example"]
"""


def values(arguments: list[str], flag: str) -> list[str]:
    return [arguments[i + 1] for i, one in enumerate(arguments) if one == f"--{flag}"]


def test_the_server_listens_on_this_machine_only(tmp_path: Path) -> None:
    found = command(tmp_path, 8600)
    assert values(found, "server.address") == ["127.0.0.1"]
    assert values(found, "server.allowedHosts") == ["127.0.0.1", "localhost"]
    assert values(found, "client.toolbarMode") == ["viewer"]
    assert values(found, "secrets.files") == []


def test_sign_in_admits_the_host_people_come_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: object())
    file = tmp_path / "secrets.toml"
    file.write_text(SECRETS.format(secret="s" * 32))
    found = command(tmp_path, 8600, sign_in=file)
    assert values(found, "secrets.files") == [str(file)]
    assert values(found, "server.allowedHosts")[-1] == "results.hospital.example"
    assert values(found, "server.address") == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "KeyError"),
        ("[auth", "TOMLDecodeError"),
        ('[auth]\nredirect_uri = "x"\n[mmstudy]\nallowed = []', "whole address, got 'x'"),
    ],
)
def test_a_wrong_sign_in_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: object())
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        command(tmp_path, 8600, sign_in=tmp_path / "s.toml")


def test_it_says_what_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'mmcaf-study\[auth\]'"):
        command(tmp_path, 8600, sign_in=tmp_path / "s.toml")


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path), SIGN_IN_MARK])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=30)
    found.secrets["auth"] = {"client_id": "dashboard"}
    found.secrets["mmstudy"] = {"allowed": ["somebody@hospital.example"]}
    return found


def as_user(monkeypatch: pytest.MonkeyPatch, **user: Any) -> None:
    import streamlit as st

    class User(dict[str, Any]):
        is_logged_in = user.pop("is_logged_in")

        def to_dict(self) -> dict[str, Any]:
            return dict(self)

    monkeypatch.setattr(st, "user", User(user))


def test_a_stranger_sees_a_button_and_nothing_else(
    guarded: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, is_logged_in=False)
    guarded.run()
    assert not guarded.exception
    assert [button.label for button in guarded.button] == ["Sign in"]
    assert not guarded.info


@pytest.mark.parametrize(
    "user",
    [
        {"email": "other@hospital.example", "email_verified": True},
        {"email": "somebody@hospital.example", "email_verified": False},
        {"email": "somebody@hospital.example"},
        {"email": None, "email_verified": True},
    ],
)
def test_who_is_not_on_the_list_sees_nothing(
    guarded: AppTest, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]
) -> None:
    as_user(monkeypatch, is_logged_in=True, **user)
    guarded.run()
    assert [button.label for button in guarded.button] == ["Sign out"]
    assert "not on the list" in guarded.error[0].value
    assert not guarded.info


def test_who_is_on_the_list_comes_in(guarded: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, is_logged_in=True, email="Somebody@Hospital.example", email_verified=True)
    guarded.run()
    assert "mmstudy run" in guarded.info[0].value.replace("\\", "")


def test_nobody_comes_in_where_the_list_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path), SIGN_IN_MARK])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=30)
    as_user(monkeypatch, is_logged_in=True, email="a@b.example", email_verified=True)
    found.run()
    assert [button.label for button in found.button] == ["Sign out"]
    assert not found.info


def test_a_file_that_streamlit_would_not_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: object())
    with pytest.raises(UsageError, match=r"must end in \.toml, got auth\.secrets"):
        command(tmp_path, 8600, sign_in=tmp_path / "auth.secrets")
