"""Every YAML of platform/deploy against its launcher's own schema, and our own rules."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError, validate
from jsonschema.validators import validator_for

DEPLOY = Path(__file__).parents[2] / "platform" / "deploy"
CLUSTERS = ("cluster-local.yaml", "cluster-aws.yaml")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def ray_schema() -> dict[str, Any]:
    import ray

    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


@pytest.fixture(scope="module")
def rayjob_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())
    return schema


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_is_what_the_launcher_takes(name: str, ray_schema: dict[str, Any]) -> None:
    config = read(name)
    validate(config, ray_schema)
    wrong = deepcopy(config) | {"max_worker": 3}
    with pytest.raises(ValidationError, match="max_worker"):
        validate(wrong, ray_schema)


def test_the_launcher_fills_in_the_local_cluster() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(read("cluster-local.yaml"))
    validate_config(config)
    assert config["head_start_ray_commands"][1].startswith("ulimit")
    (node_type,) = config["available_node_types"].values()
    assert node_type["max_workers"] == 2


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_node_of_a_cluster_asks_for_the_token(name: str) -> None:
    config = read(name)
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [one for one in config[commands] if "ray start" in one]
        assert starts
        assert all("RAY_AUTH_MODE=token" in one for one in starts)
    (head,) = (one for one in config["head_start_ray_commands"] if "ray start" in one)
    assert "--dashboard-host=127.0.0.1" in head
    assert any(path.endswith(".ray/auth_token") for path in config["file_mounts"])


def test_a_rayjob_has_the_operator_s_fields(rayjob_schema: dict[str, Any]) -> None:
    faults = validator_for(rayjob_schema)(rayjob_schema).iter_errors(read("rayjob.yaml"))
    assert [fault.message for fault in faults] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "shutdownAfterJobFinish"), True),
        (("spec", "submissionMode"), "Kubernetes"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "Token"),
    ],
)
def test_a_wrong_rayjob_is_refused(
    path: tuple[str, ...], value: object, rayjob_schema: dict[str, Any]
) -> None:
    config = read("rayjob.yaml")
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(ValidationError):
        validate(config, rayjob_schema)


def test_a_rayjob_runs_this_ray_with_a_token_and_not_as_root() -> None:
    import ray
    from ray.runtime_env import RuntimeEnv

    spec = read("rayjob.yaml")["spec"]
    RuntimeEnv(**yaml.safe_load(spec["runtimeEnvYAML"]))
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        mounts = {one["name"] for one in pod["volumes"]}
        for container in pod["containers"]:
            assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]
            assert {one["name"] for one in container["volumeMounts"]} <= mounts


@pytest.mark.parametrize(
    "path", [one for one in sorted(DEPLOY.iterdir()) if one.is_file()], ids=lambda path: path.name
)
def test_no_file_holds_a_secret_and_each_says_what_it_was_checked_with(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?i)(auth_token|password|secret_key)\s*[:=]\s*['\"]?[0-9a-z]{12,}", text)
    if path.suffix in (".yaml", ".slurm") or path.name == "Dockerfile":
        assert "# Checked with:" in text
        assert "Not checked:" in text
