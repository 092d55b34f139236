from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmcaf.errors import DataError
from mmcaf.files import checkpoint
from mmcaf.files.checkpoint import Checkpoint

STATE = Checkpoint(
    tensors={
        "model.weight": torch.arange(6.0).reshape(2, 3),
        "model.seen": torch.tensor(7),
        "optimizer.0.step": torch.tensor(3.0),
    },
    meta={"epoch": 3, "encoder": {"age_years": {"median": 60.1}}, "intensity": {"mean": 0.3}},
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors", STATE)
    found = checkpoint.load(tmp_path / "last.safetensors", tmp_path)
    assert found.meta == STATE.meta
    assert found.tensors.keys() == STATE.tensors.keys()
    for name, tensor in STATE.tensors.items():
        assert torch.equal(found.tensors[name], tensor)
        assert found.tensors[name].dtype == tensor.dtype


def test_a_checkpoint_is_one_file(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors", STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


def test_any_safetensors_reader_finds_the_meta_data(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, STATE)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["meta"]) == STATE.meta


def test_channels_last_tensors_keep_their_values(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d)
    checkpoint.save(tmp_path / "a.safetensors", Checkpoint({"weight": weight}, {}))
    assert torch.equal(
        checkpoint.load(tmp_path / "a.safetensors", tmp_path).tensors["weight"], weight
    )


def test_a_loaded_checkpoint_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, STATE)
    found = checkpoint.load(path, tmp_path)
    checkpoint.save(path, Checkpoint({"model.weight": torch.zeros(2, 3)}, {}))
    assert torch.equal(found.tensors["model.weight"], STATE.tensors["model.weight"])


def test_a_part_has_its_prefix_removed() -> None:
    assert STATE.part("model.").keys() == {"weight", "seen"}


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, STATE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=rf"Cannot load the checkpoint {path}: .*cut short"):
        checkpoint.load(path, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"Cannot load the checkpoint {tmp_path}/gone\.safetensors"
    ):
        checkpoint.load(tmp_path / "gone.safetensors", tmp_path)


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "last.pt")
    with pytest.raises(DataError, match="Cannot load"):
        checkpoint.load(tmp_path / "last.pt", tmp_path)


@pytest.mark.parametrize(("header", "got"), [(None, "none"), ({"format": "pt"}, "pt")])
def test_foreign_safetensors_are_refused(
    tmp_path: Path, header: dict[str, str] | None, got: str
) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata=header)
    with pytest.raises(
        DataError, match=f"{path} is no checkpoint .* need format mmcaf-1, got {got}"
    ):
        checkpoint.load(path, tmp_path)


@pytest.mark.parametrize("header", [{}, {"meta": "{"}])
def test_a_header_without_meta_data_is_refused(tmp_path: Path, header: dict[str, str]) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata={"format": "mmcaf-1", **header})
    with pytest.raises(DataError, match=f"Cannot load the checkpoint {path}"):
        checkpoint.load(path, tmp_path)


def test_meta_data_that_are_no_json_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, STATE)
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoint.save(path, Checkpoint({}, {"epoch": torch.tensor(1)}))
    assert checkpoint.load(path, tmp_path).meta == STATE.meta


def test_a_full_disk_is_said_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, STATE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # a real refusal by the system
    try:
        with pytest.raises(
            OSError, match=r"^\[Errno 5\] Cannot write .*last\.safetensors: .*Free some space"
        ):
            checkpoint.save(path, Checkpoint({"model.weight": torch.zeros(100_000)}, {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]
    assert checkpoint.load(path, tmp_path).meta == STATE.meta
