"""An OpenID provider on this machine, and a dashboard that asks it who its visitors are."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from support.dashboard_server import Served, free_port, served, started

__all__ = ["CLIENT", "LISTED", "PUBLIC", "SECRET", "USERS", "sealed", "sign_in_file", "signing_in"]

CLIENT, SECRET, LISTED = "dashboard", "0123456789abcdef" * 4, "somebody@hospital.example"
PUBLIC = "https://results.hospital.example"
USERS: dict[str, dict[str, Any]] = {  # by their number at the provider; what its tokens say
    "listed": {},
    "unlisted": {"email": "other@hospital.example"},
    "unverified": {"email_verified": False},
    "elsewhere": {"aud": "another-service"},
    "passed-on": {"aud": "another-service", "azp": CLIENT},
    "late": {"exp": int(time.time()) - 3600},
}

_SECRETS = """
[auth]
redirect_uri = "{back}"
cookie_secret = "{secret}"
client_id = "{client}"
client_secret = "{secret}"
server_metadata_url = "{provider}/.well-known/openid-configuration"
[mmstudy]
allowed = ["{listed}"]
"""


def sign_in_file(
    path: Path, *, address: str, provider: str = "https://sso.hospital.example"
) -> Path:
    """The secrets of a dashboard at `address`, which lets in `LISTED`."""
    path.write_text(
        _SECRETS.format(
            back=f"{address}/oauth2callback",
            secret=SECRET,
            client=CLIENT,
            provider=provider,
            listed=LISTED,
        )
    )
    return path


@contextmanager
def signing_in(root: Path, scratch: Path) -> Iterator[Served]:
    """A dashboard of the studies under `root` whose visitors sign in at a provider of `USERS`."""
    at = f"http://127.0.0.1:{(port := free_port())}"
    arguments = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    for number, claims in USERS.items():
        user = {"sub": number, "email": LISTED, "email_verified": True, **claims}
        arguments += ["--user-claims", json.dumps(user)]
    well_known = f"{at}/.well-known/openid-configuration"
    plain = {"AUTHLIB_INSECURE_TRANSPORT": "1"}  # http, on this machine
    with started(arguments, well_known, scratch / "provider.log", env=plain):
        here = free_port()
        address = f"http://127.0.0.1:{here}"
        secrets = sign_in_file(scratch / "secrets.toml", address=address, provider=at)
        log = scratch / "dashboard.log"
        with served(root, log, "--sign-in", str(secrets), port=here) as found:
            yield found


def sealed(address: str, *, secret: str = SECRET, age_s: int = 0, **claims: Any) -> str:
    """The cookie that the dashboard at `address` gave to `LISTED`, maybe with other claims."""

    class Then(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - age_s

    user = {"iss": "https://sso", "sub": "listed", "aud": CLIENT, "email": LISTED}
    user |= {"email_verified": True, "is_logged_in": True, "origin": address} | claims
    seal = URLSafeTimedSerializer(secret, salt="_streamlit_user", signer=Then)
    return str(seal.dumps(json.dumps(user)))
