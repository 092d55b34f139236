"""Every network a spec can name: those of this package, and those other packages offer.

A network of this package is a folder of `mmcaf.net.comparators` that ends in `NETWORK`; another
package offers one by an entry point:

    [project.entry-points."mmcaf.networks"]
    pond = "pond_net:NETWORK"

Only installed distributions are asked, and each network is loaded when it is first named. No torch
is loaded before one is built: a study is validated, and a dashboard opened, without it. A network
of another package may load torch with its module; it is then known only where torch is installed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from mmcaf.config.settings import Fault, WrongSettings, nearest
from mmcaf.net import comparators
from mmcaf.net.comparators.base_config import NetworkConfig
from mmcaf.net.config import ModelConfig
from mmcaf.net.entry import Network

if TYPE_CHECKING:
    from mmcaf.net.comparators.base import Comparator

__all__ = [
    "GROUP",
    "NETWORKS",
    "Network",
    "Networks",
    "build",
    "config_class",
    "image_side",
    "network_of",
    "reads_image",
    "table_columns",
    "usable_networks",
]

GROUP = "mmcaf.networks"
"""The group of entry points by which other packages offer networks."""

_OWN = "mmcaf_net"


class Networks(Mapping[str, Network]):
    """Name -> network; a name that is listed may still fail to load, with a `WrongSettings`."""

    def __init__(self) -> None:
        self._loaded: dict[str, Network] = {}

    def __getitem__(self, name: str) -> Network:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._modules
        yield from self._offered

    def __len__(self) -> int:
        return len(self._modules) + len(self._offered)

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._offered

    def _load(self, name: str) -> Network:
        if name in self._modules:
            found: Network = import_module(self._modules[name]).NETWORK
            return found
        return _offered_network(name, self._offered[name])

    @cached_property
    def _modules(self) -> dict[str, str]:
        folders = [found.name for found in iter_modules(comparators.__path__) if found.ispkg]
        inside = {name: f"{comparators.__name__}.{name}" for name in sorted(folders)}
        return {_OWN: ModelConfig.__module__, **inside}

    @cached_property
    def _offered(self) -> dict[str, tuple[EntryPoint, ...]]:
        found: dict[str, tuple[EntryPoint, ...]] = {}
        for point in entry_points(group=GROUP):
            if point.name in self._modules:
                logging.getLogger(__name__).warning(
                    "The network %r of %s is not used: mmcaf has one of that name. "
                    "Rename its entry point.",
                    point.name,
                    _distribution(point),
                )
            else:
                found[point.name] = (*found.get(point.name, ()), point)
        return found


NETWORKS: Mapping[str, Network] = Networks()


def usable_networks() -> Iterator[Network]:
    """Every network that can be loaded."""
    for name in NETWORKS:
        try:
            yield NETWORKS[name]
        except WrongSettings:
            continue  # told where it is named


def config_class(name: object) -> type[Any]:
    """The config of the network `name`.

    Raises:
        WrongSettings: there is none of that name, and the nearest is named; or it is another
            package's and cannot be loaded.
    """
    if not isinstance(name, str) or name not in NETWORKS:
        hint = nearest(str(name), NETWORKS)
        raise _refused(f"need one of {', '.join(NETWORKS)}, got {name!r}.{hint}")
    return NETWORKS[name].config


def network_of(config: Any) -> Network:
    """The entry of the network that `config` describes."""
    return NETWORKS[config.name]


def image_side(config: Any) -> ModelConfig:
    """What the stages `trunk` and `image` of a network build: MMCAF-Net's own image side."""
    if isinstance(config, ModelConfig):
        return config
    found: ModelConfig = getattr(config, "image_side", None) or config.trunk_config
    return found


def reads_image(config: Any) -> bool:
    """Whether a volume is looked at."""
    return network_of(config).image_of(config) != "none"


def table_columns(config: Any) -> tuple[str, ...] | None:
    """What the network's table holds; None: the seven clinical values."""
    return network_of(config).columns


def build(config: Any) -> Comparator:
    """The comparator of `config`, with fresh weights from torch's global generator."""
    return network_of(config).build(config)


def _offered_network(name: str, points: tuple[EntryPoint, ...]) -> Network:
    point, *others = points
    whose = f"the network {name!r} of {_distribution(point)}"
    if others:
        also = ", ".join(map(_distribution, others))
        raise _refused(f"{whose} has the name of another, of {also}; uninstall one of them")
    try:
        found: Network = point.load()
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise _refused(f"{whose} cannot be loaded from {point.value}: {why}") from error
    is_network = isinstance(found, Network) and isinstance(found.config, type)
    if not is_network or not issubclass(found.config, NetworkConfig):
        wanted = "a mmcaf.net.entry.Network whose config is a NetworkConfig"
        raise _refused(f"{whose} is not what it must be: need {wanted}, got {found!r}")
    if found.name != name:
        raise _refused(f"{whose} calls itself {found.name!r}; its entry point needs that name")
    return found


def _distribution(point: EntryPoint) -> str:
    of = point.dist
    return f"the distribution {of.name} {of.version}" if of else "an unknown distribution"


def _refused(words: str) -> WrongSettings:
    return WrongSettings([Fault(("name",), words)])
