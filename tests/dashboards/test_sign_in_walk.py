"""Sign-in at a real provider, in a real browser: who comes in, who does not, what is left."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect

from support.dashboard_server import chromium_path, settled
from support.dashboard_studies import large_study
from support.identity_provider import LISTED, sealed, signing_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium_path() is None, reason="no Chromium: nobody signs in"),
]
PATHS = (
    "/",
    "/trials?study=two",
    "/favicon.png",
    "/media/0123456789abcdef.png",
    "/static/js/index.js",
    "/component/some/index.html",
    "/_stcore/health",
    "/_stcore/metrics",
    "/_stcore/host-config",
    "/_stcore/agent/openapi.json",
    "/auth/login/",
    "//auth/login",
)
SOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("studies")
    large_study(root, "two", trials=2, epochs=2, folds=2)
    with signing_in(root, tmp_path_factory.mktemp("servers")) as found:
        yield found.address


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    found = chromium.new_context()
    found.set_default_timeout(120_000)
    yield found
    found.close()


def status(address: str, path: str, cookie: str = "", **headers: str) -> int:
    """What a program is answered that sends this cookie."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=120)
    cookies = {"Cookie": f"_streamlit_user={cookie}"} if cookie else {}
    connection.request("GET", path, headers={**cookies, **headers})
    found = connection.getresponse().status
    connection.close()
    return found


def signed_in(page: Page, address: str, user: str) -> None:
    """The page after a user has signed in at the provider."""
    page.goto(address)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name=user, exact=True).click()
    page.wait_for_url(f"{address}/**")


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_answered_nowhere(address: str, path: str) -> None:
    assert status(address, path) in (400, 401)
    assert status(address, path, "forged") in (400, 401)


def test_a_stranger_gets_no_connection(address: str) -> None:
    assert status(address, "/_stcore/stream", **SOCKET) == 401
    assert status(address, "/_stcore/stream", sealed(address), **SOCKET) == 101


def test_a_cookie_counts_for_a_day_one_address_and_one_service(address: str) -> None:
    def metrics(cookie: str) -> int:
        return status(address, "/_stcore/metrics", cookie)

    assert metrics(sealed(address)) == 200
    assert metrics(sealed(address, age_s=11 * 3600)) == 200
    assert metrics(sealed(address, age_s=13 * 3600)) == 401
    assert metrics(sealed(address, secret="f" * 64)) == 401
    assert metrics(sealed(address, aud="another-service")) == 401
    assert metrics(sealed("https://another.example")) == 401
    assert metrics(sealed(address, is_logged_in=False)) == 401
    assert metrics(sealed(address, email="other@hospital.example")) == 403
    assert metrics(sealed(address, email_verified=False)) == 403
    assert metrics(sealed(address)[:-2]) == 401


def test_who_is_on_the_list_looks_and_leaves_nothing_behind(
    context: BrowserContext, address: str
) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    signed_in(page, address, "listed")
    page.get_by_role("heading", name="Studies").wait_for()
    settled(page)
    media = next(url for url in asked if "/media/" in url)
    inside = [media, *(f"{address}{path}" for path in ("/_stcore/metrics", "/trials"))]
    assert [context.request.get(url).status for url in inside] == [200, 200, 200]
    other = context.new_page()
    sockets: list[WebSocket] = []
    other.on("websocket", lambda one: sockets.append(one))
    other.goto(f"{address}/trials?study=two")
    other.get_by_role("heading", name="Trials", exact=True).wait_for()
    copied = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies(address))

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert page.url == f"{address}/"
    assert [context.request.get(url).status for url in inside] == [401, 401, 401]
    for url in inside:  # a copy of the cookies is worth nothing, either
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(urllib.request.Request(url, headers={"Cookie": copied}))  # noqa: S310
    while not sockets[0].is_closed():  # the page left open in another tab
        other.wait_for_timeout(200)
    other.reload()
    expect(other.get_by_text("Sign in to see the studies")).to_be_visible()
    signed_in(other, address, "listed")
    other.get_by_role("heading", name="Studies").wait_for()


@pytest.mark.parametrize("user", ["unlisted", "unverified"])
def test_who_is_not_on_the_list_is_told_so_and_sees_nothing(
    context: BrowserContext, address: str, user: str
) -> None:
    page = context.new_page()
    sockets: list[WebSocket] = []
    page.on("websocket", lambda one: sockets.append(one))
    signed_in(page, address, user)
    email = LISTED if user == "unverified" else "other@hospital.example"
    expect(page.locator("body")).to_contain_text(f"{email} is not on the list of this dashboard.")
    assert sockets == []
    assert [context.request.get(f"{address}{path}").status for path in PATHS[:10]] == [403] * 10
    page.get_by_role("link", name="Sign out").click()
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("user", ["elsewhere", "passed-on", "late"])
def test_a_token_for_another_service_or_too_old_is_refused(
    context: BrowserContext, address: str, user: str
) -> None:
    page = context.new_page()
    signed_in(page, address, user)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert re.fullmatch(rf"{address}/?", page.url)
    assert context.request.get(f"{address}/_stcore/metrics").status == 401
