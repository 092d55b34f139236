"""Who is let in: what Streamlit's cookie says, the list of e-mails, and what a page shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from signin import Doors, Visitor, visitor
from starlette.requests import HTTPConnection
from starlette.responses import Response
from streamlit.runtime.secrets import secrets_singleton
from streamlit.testing.v1 import AppTest

from mmstudy.serving import SIGN_IN_MARK, app_path
from support.identity_provider import LISTED, PUBLIC, sealed


def found(cookie: str) -> Visitor | None:
    return visitor({"_streamlit_user": cookie})


def answered(
    doors: Doors, cookie: str = "", path: str = "/", *, kind: str = "http", accept: str = "*/*"
) -> Response | None:
    headers = [(b"cookie", f"_streamlit_user={cookie}".encode()), (b"accept", accept.encode())]
    return doors.refusal(HTTPConnection({"type": kind, "path": path, "headers": headers}))


@pytest.mark.usefixtures("secrets")
def test_a_visitor_is_whom_the_provider_knows() -> None:
    known = found(sealed(PUBLIC, age_s=60))
    assert known is not None
    assert known.user["email"] == LISTED
    assert known.person == ("https://sso", "listed")


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    "how",
    [
        {"secret": "another" * 8},
        {"age_s": 12 * 3600 + 5},
        {"age_s": -60},
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": None},
        {"is_logged_in": False},
        {"is_logged_in": "yes"},
        {"origin": "https://another.example"},
        {"origin": None},
    ],
)
def test_another_cookie_is_nobodys(how: dict[str, Any]) -> None:
    assert found(sealed(PUBLIC, **how)) is None


@pytest.mark.usefixtures("secrets")
def test_one_service_of_several_may_be_this_one() -> None:
    assert found(sealed(PUBLIC, aud=["another-service", "dashboard"])) is not None


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("cookie", ["", "x", "é", "a.b.c", "." * 99, "W10.x.y"])
def test_what_is_no_cookie_is_nobodys(cookie: str) -> None:
    assert found(cookie) is None


def test_nobody_is_known_where_the_secrets_are_gone(secrets: Path) -> None:
    cookie = sealed(PUBLIC)
    assert found(cookie) is not None
    secrets.unlink()
    secrets_singleton._reset()
    assert found(cookie) is None


@pytest.mark.usefixtures("secrets")
def test_a_sign_out_ends_every_copy_of_the_cookie() -> None:
    doors, cookie = Doors(), sealed(PUBLIC, age_s=60)
    other = sealed(PUBLIC, sub="another", age_s=60)
    assert answered(doors, cookie) is None
    assert answered(doors, "", "/auth/logout") is None  # whoever this is, ends nobody's
    assert answered(doors, cookie) is None
    assert answered(doors, cookie, "/auth/logout") is None
    refused = answered(doors, cookie)
    assert refused is not None
    assert refused.status_code == 401
    assert answered(doors, other) is None


@pytest.mark.usefixtures("secrets")
def test_only_the_way_in_and_out_is_open() -> None:
    doors = Doors()
    for path in ("/auth/login", "/auth/logout", "/oauth2callback"):
        assert answered(doors, path=path) is None
        for other in (f"{path}/", f"{path}x", f"/x{path}", f"/{path}"):
            assert answered(doors, path=other) is not None
        assert answered(doors, path=path, kind="websocket") is not None


@pytest.mark.usefixtures("secrets")
def test_a_browser_gets_a_page_and_nothing_in_it_is_markup() -> None:
    doors = Doors()
    page = answered(doors, accept="text/html,*/*")
    assert page is not None
    assert 'href="/auth/login?provider=' in bytes(page.body).decode()
    cookie = sealed(PUBLIC, email="<script>alert(1)</script>@x")
    page = answered(doors, cookie, accept="text/html,*/*")
    assert page is not None
    assert page.status_code == 403
    assert "&lt;script&gt;alert(1)" in bytes(page.body).decode()
    assert "<script>" not in bytes(page.body).decode()


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path), SIGN_IN_MARK])
    test = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    test.secrets["auth"] = {"client_id": "dashboard"}
    test.secrets["mmstudy"] = {"allowed": [LISTED]}
    return test


def as_user(monkeypatch: pytest.MonkeyPatch, **user: Any) -> None:
    import streamlit as st

    class User(dict[str, Any]):
        is_logged_in = user.pop("is_logged_in")

        def to_dict(self) -> dict[str, Any]:
            return dict(self)

    monkeypatch.setattr(st, "user", User(user))


@pytest.mark.parametrize(
    "user",
    [
        {"is_logged_in": False},
        {"is_logged_in": False, "email": LISTED, "email_verified": True},
        {"is_logged_in": True, "email": "other@hospital.example", "email_verified": True},
        {"is_logged_in": True, "email": LISTED, "email_verified": False},
        {"is_logged_in": True, "email": LISTED},
        {"is_logged_in": True, "email": None, "email_verified": True},
    ],
)
def test_a_page_shows_nothing_to_whom_the_guard_let_by(
    guarded: AppTest, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]
) -> None:
    as_user(monkeypatch, **user)
    guarded.run()
    assert not guarded.exception
    assert "not signed in" in guarded.error[0].value
    assert not guarded.button
    assert not guarded.info


def test_who_is_on_the_list_comes_in(guarded: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, is_logged_in=True, email="Somebody@Hospital.example", email_verified=True)
    guarded.run()
    assert "mmstudy run" in guarded.info[0].value.replace("\\", "")
    assert [button.label for button in guarded.button] == ["Sign out"]


def test_nobody_comes_in_where_the_list_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path), SIGN_IN_MARK])
    test = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    as_user(monkeypatch, is_logged_in=True, email="a@b.example", email_verified=True)
    test.run()
    assert "not signed in" in test.error[0].value
    assert not test.info
