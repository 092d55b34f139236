"""Checkpoints: one safetensors file each, its meta data as JSON in the header. No pickle."""

from __future__ import annotations

import errno
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mmcaf.errors import DataError
from mmcaf.files.atomic import replacing
from mmcaf.files.untrusted import checked, decode

__all__ = ["Checkpoint", "load", "save"]

T = TypeVar("T")

_FORMAT = "mmcaf-1"
_REMEDY = "Delete it to begin again."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Named tensors, and what is not a tensor as plain JSON values."""

    tensors: Mapping[str, torch.Tensor]
    meta: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose name starts with `prefix`, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }

    def told(self, kind: type[T]) -> T:
        """The meta data as a value of `kind`, which takes those it knows.

        Raises:
            DataError: they hold something else; names the field.
        """
        try:
            return msgspec.convert(dict(self.meta), kind)
        except (msgspec.ValidationError, RecursionError) as error:
            raise DataError(f"A checkpoint is damaged: {error}. {_REMEDY}") from error


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written; an older file is unchanged.
        TypeError: the meta data are not JSON values.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    header = {"format": _FORMAT, "meta": json.dumps(dict(checkpoint.meta)), "crc32": _sum(tensors)}
    with replacing(path) as beside:
        try:
            save_file(tensors, beside, metadata=header)
        except SafetensorError as error:  # how that library reports a full disk
            raise OSError(errno.EIO, str(error)) from error


def load(path: Path, folder: Path) -> Checkpoint:
    """The checkpoint in `path`, which lies in `folder`, its tensors on the CPU.

    Raises:
        DataError: missing, truncated, not one of ours, no regular file, or a link in `folder` leads
            to it.
    """
    checked(path, folder)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT:
                raise DataError(
                    f"{path} is no checkpoint this program can read: need format {_FORMAT}, "
                    f"got {header.get('format', 'none')}. Train again, or use the version it is of."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if header.get("crc32", found := _sum(tensors)) != found:  # 0.1.0 wrote none
                raise ValueError("its tensors are not those that were written")
            return Checkpoint(tensors, _meta(path, header["meta"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(
            f"Cannot load the checkpoint {path}: {error}. It is missing, cut short or damaged; "
            "delete it to begin again."
        ) from error


def _sum(tensors: Mapping[str, torch.Tensor]) -> str:
    """A checksum of names and content: safetensors has none, and a bit may flip on a disk."""
    total = 0
    for name, tensor in sorted(tensors.items()):
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total = zlib.crc32(content.numpy().data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def _meta(path: Path, text: str) -> dict[str, Any]:
    source = f"Cannot load the checkpoint {path}: its header"
    return decode(text, dict[str, Any], source=source, remedy=_REMEDY)
