"""One fold's network and the cases it validates on, explained and written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmcaf.data.augment import centre_crop, stream
from mmcaf.data.batches import EvalBatches
from mmcaf.data.cohort import Cohort
from mmcaf.data.encoding import Intensity, TableEncoder
from mmcaf.data.splits import Fold
from mmcaf.data.volumes import VolumeSpec, open_volumes
from mmcaf.explain.case import CaseExplained, explain_case
from mmcaf.explain.gradcam import over_slices
from mmcaf.explain.pictures import (
    SHOWN_HU,
    Box,
    mass_inside,
    shown_slices,
    strip,
    write_array,
    write_png,
)
from mmcaf.explain.response_curves import kan_curves
from mmcaf.explain.scales import banded, points_of, scales_of
from mmcaf.files import checkpoint
from mmcaf.net.config import TABLE_COLUMNS
from mmcaf.net.registry import reads_image
from mmcaf.training.frozen import digest_of
from mmcaf.training.loop import load_model_state
from mmstudy.errors import MMStudyError
from mmstudy.spec.sections import TrialConfig
from mmstudy.storage.explanations import (
    FORMAT,
    Attribute,
    Cam,
    Curve,
    ExplainedCase,
    Shap,
    Step,
    case_of,
    save_case,
)
from mmstudy.study import Study
from mmstudy.trial.compute import build_model, derive_seed
from mmstudy.trial.task import Fitted, TrialTask

__all__ = ["FoldExplainer"]

_MOST_BACKGROUND = 64  # training rows; SHAP values take 128 logits for each


class FoldExplainer:
    """Explains the cases that one fold of a trial validates on.

    Raises:
        DataError: the checkpoint cannot be read, or is of another network.
    """

    def __init__(
        self,
        study: Study,
        task: TrialTask,
        config: TrialConfig,
        patients: Cohort,
        fold: int,
        path: Path,
    ) -> None:
        self._study, self._task, self._config = study, task, config
        self._rows, self._number = patients.patients, fold
        spec = VolumeSpec(config.data.in_plane_px)
        self._opened = open_volumes(patients, spec) if reads_image(config.model) else {}
        self._fold: Fold = study.about.split.folds[fold]
        kept = checkpoint.load(path, study.folder.root)
        told = kept.told(Fitted)
        self._net = build_model(config, derive_seed(task.seed, fold))
        load_model_state(self._net, kept)
        self._net.to(task.device).eval()
        self._encoder = TableEncoder.from_json(told.encoder)
        fitted = told.intensity
        self._intensity: Any = Intensity.from_json(fitted) if fitted else None  # no image is read
        train = self._rows.filter(pl.col("case").is_in(list(self._fold.train))).sort("case")
        self._scales = scales_of(self._encoder, train)
        self._background = self._encoder.transform(_some(train))
        self._made_of = digest_of(
            kept.part("model."),
            told.encoder,
            told.intensity,
            # What pictures say is part of it; of an oracle they did not say so at first.
            [FORMAT, study.synthetic, str(task.device), *[study.origin.mark] * study.oracle],
        )

    def explained(
        self, chosen: dict[str, Any], progress: Callable[[int, int], None] = lambda done, of: None
    ) -> ExplainedCase:
        """The case of a row of `choose`, explained and written, or as an earlier run left it.

        `progress` is told how many of how many passes through the network are done.

        Raises:
            MMStudyError: the fold trained on it, or does not validate on it.
            ArithmeticError: SHAP values do not add up.
        """
        case, folder = chosen["case"], self._study.folder
        if case in self._fold.train or case not in self._fold.val:
            raise MMStudyError(f"Fold {self._number} does not validate on case {case} alone.")
        known = case_of(folder, self._task.number, case)
        if (
            known is not None
            and known.made_of == self._made_of
            and known.chosen == chosen["chosen"]
        ):
            return known
        row = self._rows.filter(pl.col("case") == case)
        batches = EvalBatches(
            row, self._opened, self._encoder, self._intensity, self._config.data, 1
        )
        starts = [start for part in batches.planned() for _, start in part]
        windows = torch.cat([batches.window(0, start) for start in starts])
        found, about = self._explain(case, windows, row, progress), row.row(0, named=True)
        done = ExplainedCase(
            case=case,
            chosen=chosen["chosen"],
            fold=self._number,
            label="squamous" if chosen["label"] == 1 else "adenocarcinoma",
            says="squamous" if found.squamous else "adenocarcinoma",
            probability=found.probability,
            stored_probability=chosen["probability"],
            cam=self._pictured(about, found, starts),
            shap=self._shap(about, found),
            sanity=tuple(Step(one.part, one.cam, one.shap) for one in found.randomised),
            cells=found.cells,
            made_of=self._made_of,
        )
        save_case(folder, self._task.number, done)
        return done

    def curves(self, cases: list[ExplainedCase]) -> list[Curve]:
        """The curves of every attribute of this fold; none where the network reads no table."""
        shaps = [case.shap for case in cases if case.shap is not None]
        if not shaps:
            return []
        own = self._kan(points_of(self._scales))
        middle = np.zeros((1, TABLE_COLUMNS))
        middle[0, : len(self._scales)] = [scale.median for scale in self._scales]
        size = np.linalg.norm(own - self._kan(middle), axis=2)  # [7, points]
        return [
            Curve(
                fold=self._number,
                attribute=scale.name,
                unit=scale.unit,
                x=tuple(scale.x.tolist()),
                outputs=tuple(map(tuple, own[index].T.tolist())),
                size=tuple(size[index].tolist()) if own.size else (),
                logit=tuple(np.mean([s.attributes[index].curve for s in shaps], axis=0).tolist()),
                n_cases=len(shaps),
                quantiles=scale.quantiles,
                n_train=scale.n_train,
            )
            for index, scale in enumerate(self._scales)
        ]

    def _kan(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """[points, 7] -> [7, points, outputs]; no outputs where the network has no KAN."""
        given = torch.as_tensor(points, dtype=torch.float32, device=self._task.device)
        found = kan_curves(self._net, given)
        if found is None:
            return np.zeros((TABLE_COLUMNS, len(points), 0))
        # Computed in float32: more digits would be written than are known.
        return np.round(found.cpu().double().numpy(), 6)

    def _explain(
        self,
        case: str,
        windows: Tensor,
        row: pl.DataFrame,
        progress: Callable[[int, int], None],
    ) -> CaseExplained:
        device = self._task.device
        # Of the check: untrained weights of their own for every case.
        seed = derive_seed(self._task.seed, self._number, "randomised", case)
        return explain_case(
            self._net,
            build_model(self._config, seed).to(device),
            windows.to(device),
            torch.as_tensor(self._encoder.transform(row)[0], device=device),
            self._background,
            points_of(self._scales),
            progress=progress,
        )

    def _shap(self, row: dict[str, Any], found: CaseExplained) -> Shap | None:
        if found.shap is None or found.logits is None:
            return None
        attributes = tuple(
            Attribute(scale.name, banded(scale.name, row), float(value), tuple(curve.tolist()))
            for scale, value, curve in zip(
                self._scales, found.shap.values, found.logits, strict=False
            )
        )
        return Shap(
            base=found.shap.base,
            logit=found.shap.logit,
            error=found.shap.error,
            n_background=len(self._background),
            attributes=attributes,
        )

    def _pictured(self, row: dict[str, Any], found: CaseExplained, starts: list[int]) -> Cam | None:
        """The map over the slices, written as it is and as a picture."""
        if found.maps is None:
            return None
        size = self._config.data.window
        hu = centre_crop(self._opened[row["case"]].astype(np.float32), size[1])
        whole = over_slices(found.maps, starts, size, len(hu))
        box = _box(row, self._config.data.in_plane_px, size[1])
        slices = shown_slices(whole, box)
        folder = self._study.folder
        beside = folder.explanations(self._task.number)
        scale = float(np.nan_to_num(whole).max()) / 255
        coarse = np.nan_to_num(whole) / scale if scale else np.zeros_like(whole)
        whole_map = np.rint(coarse).astype(np.uint8)
        folder.put(beside / f"{row['case']}.map.npy", lambda path: write_array(path, whole_map))
        picture = strip(hu, whole, slices, box, note=self._study.origin.mark)
        folder.put(beside / f"{row['case']}.png", lambda path: write_png(path, picture))
        inside, by_chance = mass_inside(whole, box) if box else (None, None)
        covered = ~np.isnan(whole[:, 0, 0])
        means = whole.mean((1, 2), dtype=np.float64).tolist()
        return Cam(
            n_slices=len(hu),
            n_windows=len(starts),
            side=size[1],
            shown=tuple(slices),
            shown_hu=SHOWN_HU,
            scale=scale,
            profile=tuple(mean if ok else None for mean, ok in zip(means, covered, strict=True)),
            lesion=(box.z, box.x, box.y) if box else None,
            inside=inside,
            by_chance=by_chance,
        )


def _some(train: pl.DataFrame) -> pl.DataFrame:
    """At most so many training rows, the same every time."""
    if train.height <= _MOST_BACKGROUND:
        return train
    drawn = stream("background").choice(train.height, size=_MOST_BACKGROUND, replace=False)
    return train.with_row_index().filter(pl.col("index").is_in(drawn)).drop("index")


def _box(row: dict[str, Any], in_plane_px: int, side: int) -> Box | None:
    """The lesion in pixels of the middle `side` x `side`; None where none is known or in there."""
    if row["box_cx"] is None or row["z_first_lesion"] < 0:
        return None
    margin = (in_plane_px - side) // 2
    spans = []
    for centre, width in (("box_cx", "box_w"), ("box_cy", "box_h")):
        ends = [(row[centre] + way * row[width] / 2) * in_plane_px - margin for way in (-1, 1)]
        low, high = (int(np.clip(round(end), 0, side)) for end in ends)
        if low == high:
            return None
        spans.append((low, high))
    return Box((row["z_first_lesion"], row["z_last_lesion"]), *spans)
