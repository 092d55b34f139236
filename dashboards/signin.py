"""Who may look, where the dashboard is served to others: OIDC sign-in and a list of e-mails.

Off unless `mmstudy dashboard --sign-in FILE` was given; FILE is Streamlit's secrets with a table
`[auth]` (redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url) and
`[mmstudy]` with `allowed = ["somebody@hospital.example"]`. Streamlit talks to the provider and
signs a cookie with what the provider said; here that cookie is judged, at every request.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from streamlit import auth_util
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from mmstudy.serving import SIGN_IN_MARK

__all__ = ["Doors", "Visitor", "let_in", "may_enter", "visitor"]

LONGEST_S = 12 * 60 * 60
"""How long a sign-in counts: a working day. Streamlit's cookie would last a month."""

_SIGN_IN, _SIGN_OUT, _BACK = "/auth/login", "/auth/logout", "/oauth2callback"
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>MMCAF-Net studies</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root {{ color-scheme: light dark }} body {{ font: 1rem sans-serif; margin: 4rem auto;
max-width: 32rem; padding: 0 1rem }}</style></head>
<body><h1>MMCAF-Net studies</h1><p>{told}</p><p><a href="{link}">{label}</a></p></body></html>
"""


def may_enter(user: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    """Whether the provider vouches for the e-mail and the list has it.

    >>> may_enter({"email": "A@b.example", "email_verified": True}, ["a@b.example"])
    True
    >>> may_enter({"email": "a@b.example"}, ["a@b.example"])
    False
    """
    email = str(user.get("email") or "").strip().lower()
    listed = {str(one).strip().lower() for one in allowed}
    return bool(email) and user.get("email_verified") is True and email in listed


@dataclass(frozen=True)
class Visitor:
    """Somebody whom the provider knows: what it said, and when they signed in (Unix time)."""

    user: Mapping[str, Any]
    since: float

    @property
    def person(self) -> tuple[str, str]:
        """Provider and number of the person there."""
        return str(self.user.get("iss")), str(self.user.get("sub"))


def visitor(cookies: Mapping[str, str]) -> Visitor | None:
    """Who signed in, by Streamlit's cookie; None where there is none, it is forged or too old, or
    was made for another address or another service."""
    times: list[float] = []

    def signed(name: str) -> bytes | None:
        try:
            seal = URLSafeTimedSerializer(get_cookie_secret(), salt=name)
            value, made = seal.loads(
                cookies.get(name, ""), max_age=LONGEST_S, return_timestamp=True
            )
        except BadData:
            return None
        times.append(made.timestamp())
        return str(value).encode()

    try:
        user = json.loads(auth_util.get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"{}")
    except ValueError:
        return None
    if not isinstance(user, dict) or user.get("is_logged_in") is not True:
        return None
    audience = user.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if auth_util.get_secrets_auth_section().get("client_id") not in meant:
        return None
    if user.get("origin") != auth_util.get_origin_from_redirect_uri():
        return None
    return Visitor(user, min(times))


class Doors:
    """Decides for each request whether its visitor may look; knows who has signed out."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], float] = {}  # person: when

    @property
    def secure(self) -> bool:
        """Whether people come by https, so that no cookie may travel otherwise."""
        return str(auth_util.get_origin_from_redirect_uri()).startswith("https:")

    def refusal(self, asked: HTTPConnection) -> Response | None:
        """The answer to who may not look; None to who may."""
        found = visitor(asked.cookies)
        path = asked.scope["path"]
        if asked.scope["type"] == "http" and path in (_SIGN_IN, _SIGN_OUT, _BACK):
            if found is not None and path == _SIGN_OUT:
                self._leave(found)
            return None
        if found is None or found.since <= self._left.get(found.person, -1.0):
            token = auth_util.encode_provider_token("default")
            link = f"{_SIGN_IN}?provider={token}"
            return _answer(asked, 401, "Sign in to see the studies.", link, "Sign in")
        if not may_enter(found.user, _allowed()):
            told = f"{found.user.get('email')} is not on the list of this dashboard."
            return _answer(asked, 403, told, _SIGN_OUT, "Sign out")
        return None

    def _leave(self, found: Visitor) -> None:
        """End what a person has open everywhere; a copy of the cookie is worth nothing now."""
        now = time.time()
        self._left = {who: when for who, when in self._left.items() if when > now - LONGEST_S}
        self._left[found.person] = now


def _answer(asked: HTTPConnection, status: int, told: str, link: str, label: str) -> Response:
    """A page to who navigates here, a line to a program."""
    if "text/html" not in asked.headers.get("accept", ""):
        return PlainTextResponse(f"{told}\n", status)
    page = _PAGE.format(told=escape(told), link=escape(link), label=escape(label))
    return HTMLResponse(page, status)


def let_in() -> bool:
    """Whether the rest of the page may be drawn: the guard let nobody else come this far, and the
    page asks again."""
    if SIGN_IN_MARK not in sys.argv[2:]:
        return True
    known = getattr(st.user, "is_logged_in", False)  # without a provider there is no such thing
    if known and may_enter(st.user.to_dict(), _allowed()):
        st.sidebar.button("Sign out", on_click=st.logout)
        return True
    st.error("You are not signed in. Load this page again.")
    return False


def _allowed() -> Sequence[str]:
    """The allowed e-mails; nobody is on a list that cannot be read."""
    try:
        return list(st.secrets.get("mmstudy", {}).get("allowed", ()))
    except StreamlitSecretNotFoundError:
        return []
