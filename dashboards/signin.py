"""Who may look, where the dashboard is served to others: OIDC sign-in and a list of e-mails.

Off unless `mmstudy dashboard --sign-in FILE` was given; FILE is Streamlit's secrets with a table
`[auth]` (redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url) and
`[mmstudy]` with `allowed = ["somebody@hospital.example"]`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from frame import plain
from streamlit.errors import StreamlitSecretNotFoundError

from mmstudy.serving import SIGN_IN_MARK

__all__ = ["let_in", "may_enter"]


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


def let_in() -> bool:
    """Whether the rest of the page may be drawn; else a way to sign in, or out, is shown."""
    settings = _settings()
    if settings is None:
        return True
    if not getattr(st.user, "is_logged_in", False):  # without a provider there is no such thing
        st.title("MMCAF-Net studies")
        st.button("Sign in", on_click=st.login, type="primary")
        return False
    if may_enter(st.user.to_dict(), settings):
        st.sidebar.button("Sign out", on_click=st.logout)
        return True
    st.error(plain(f"{st.user.get('email')} is not on the list of this dashboard."))
    st.button("Sign out", on_click=st.logout)
    return False


def _settings() -> Sequence[str] | None:
    """The allowed e-mails; None where no sign-in was asked for.

    Whether it was asked for is said by the command line, never by whether the file can be read:
    nobody is on a list that cannot.
    """
    if SIGN_IN_MARK not in sys.argv[2:]:
        return None
    try:
        return list(st.secrets.get("mmstudy", {}).get("allowed", ()))
    except StreamlitSecretNotFoundError:
        return []
