"""Networks that other packages offer: found, loaded when named, and never in each other's way."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mmcaf.config.settings import WrongSettings
from mmcaf.net import registry
from mmcaf.net.registry import NETWORKS, Networks, config_class, usable_networks
from support.installed import install, install_toy

OURS = [*NETWORKS]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are installed in; the registry has not looked yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "NETWORKS", Networks())
    return tmp_path


def refusal(name: str) -> str:
    with pytest.raises(WrongSettings) as caught:
        config_class(name)
    return str(caught.value)


def test_an_installed_network_is_one_of_all(site: Path) -> None:
    install_toy(site)
    assert [*registry.NETWORKS] == [*OURS, "toy"]
    assert config_class("toy")(hidden=9).hidden == 9
    assert registry.NETWORKS["toy"].built_by.__name__ == "Toy"  # type: ignore[union-attr]


def test_its_settings_are_checked_like_any(site: Path) -> None:
    install_toy(site)
    with pytest.raises(WrongSettings, match="hidden: need a whole number from 1 to 64, got 0"):
        config_class("toy")(hidden=0)


def test_a_package_that_is_not_installed_offers_nothing(site: Path) -> None:
    install_toy(site / "elsewhere")
    assert "toy" not in registry.NETWORKS
    assert "got 'toy'" in refusal("toy")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import a_package_nobody_has", "ModuleNotFoundError: No module named 'a_package_nobo"),
        ("NETWORK = 1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "AttributeError: module 'broken' has no attribute 'NETWORK'"),
        ("NETWORK = 3", "is not what it must be: need a mmcaf.net.entry.Network"),
        (
            "from mmcaf.net.comparators.kan import NETWORK",
            "calls itself 'kan'; its entry point needs that name",
        ),
    ],
)
def test_a_broken_network_is_told_where_it_is_named_and_harms_no_other(
    site: Path, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    install(site, "bad-net", {"bad": "broken:NETWORK"}, broken=source)
    told = refusal("bad")
    assert told.startswith("name: the network 'bad' of the distribution bad-net 1.0 ")
    assert why in told
    assert config_class("pecon")().name == "pecon"
    assert [network.name for network in usable_networks()] == OURS


def test_two_packages_with_one_name_are_both_named(site: Path) -> None:
    for distribution in ("one-net", "other-net"):
        install(site, distribution, {"pond": "pond:NETWORK"})
    told = refusal("pond")
    assert "the distribution one-net 1.0" in told
    assert "the distribution other-net 1.0" in told
    assert "uninstall one of them" in told


def test_no_package_takes_the_place_of_a_network_of_ours(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "bad-net", {"pecon": "broken:NETWORK"}, broken="raise RuntimeError")
    with caplog.at_level(logging.WARNING):
        assert [*registry.NETWORKS] == OURS
    assert "The network 'pecon' of the distribution bad-net 1.0 is not used" in caplog.text
    assert config_class("pecon") is NETWORKS["pecon"].config


def test_what_is_offered_is_loaded_no_earlier_than_it_is_named(site: Path) -> None:
    install(site, "loud-net", {"loud": "loud:NETWORK"}, loud="print('loaded')")
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); "
        "from mmcaf.net.registry import NETWORKS, config_class; "
        "config_class('pecon'); print('loud' in NETWORKS)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
