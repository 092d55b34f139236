from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor, nn
from torch.nn import functional as F

from mmcaf.data.encoding import Intensity, TableEncoder
from mmcaf.errors import DataError
from mmcaf.files import checkpoint
from mmcaf.files.checkpoint import Checkpoint
from mmcaf.stats.metrics import rates
from mmcaf.training.loop import EpochReport, Predictions, fit, load_model_state, predict
from support.small_cohort import SmallCohort, small_cohort


@pytest.fixture
def small() -> SmallCohort:
    return small_cohort()


class TinyNet(nn.Module):
    """Everything that makes resuming hard: dropout, batch norm, an unused weight, a frozen one."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(channels)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(channels + 7, 1)
        self.unused = nn.Parameter(torch.zeros(2))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        image = self.drop(F.relu(self.norm(self.conv(volume)))).mean(dim=(2, 3, 4))
        logits: Tensor = self.head(torch.cat([image, table], dim=1)) * self.frozen
        return logits.squeeze(1)


class Constant(nn.Module):
    """Says the same logit whatever it is shown."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        return self.logit.expand(len(volume))


class Brightness(nn.Module):
    """The mean intensity of the window as logit, so each window has its own."""

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        return volume.mean(dim=(1, 2, 3, 4))


def net(seed: int = 0, channels: int = 3) -> TinyNet:
    torch.manual_seed(seed)
    return TinyNet(channels)


def trained(
    small: SmallCohort, resume: Checkpoint | None = None, *, seed: int = 0, **changes: Any
) -> list[tuple[EpochReport, Checkpoint]]:
    """Reports of all epochs of a run with every augmentation, each with its snapshot."""
    batches = small.batches(rotate_degrees=15.0, flip=True, sharpen=True, jitter_slices=1)
    config = replace(small.train, **changes)
    model = net() if resume is None else net(seed=99)  # nothing may depend on how it began
    found = fit(model, batches, config, seed=seed, resume=resume)
    return [(report, report.snapshot()) for report in found]


def numbers(report: EpochReport) -> tuple[object, ...]:
    found = report.predictions
    return (
        report.epoch,
        report.train_loss,
        report.val_loss,
        report.rates,
        report.lr,
        found.case,
        found.probability.tolist(),
    )


def assert_same_state(first: Checkpoint, second: Checkpoint) -> None:
    assert first.meta == second.meta
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[name]), name


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "dampening": 0.9},
    "sgd without momentum": {"optimizer": "sgd", "momentum": 0.0, "dampening": 0.0},
    "adamw": {"optimizer": "adamw"},
    "focal": {"loss": "focal"},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("after", [0, 2])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    small: SmallCohort, tmp_path: Path, name: str, after: int
) -> None:
    whole = trained(small, **OPTIMIZERS[name])
    checkpoint.save(tmp_path / "last.safetensors", whole[after][1])
    torch.rand(17)  # other work in between must not matter
    resumed = trained(
        small, checkpoint.load(tmp_path / "last.safetensors", tmp_path), **OPTIMIZERS[name]
    )
    assert [numbers(r) for r, _ in resumed] == [numbers(r) for r, _ in whole[after + 1 :]]
    for (_, theirs), (_, ours) in zip(resumed, whole[after + 1 :], strict=True):
        assert_same_state(theirs, ours)


def test_a_run_is_the_same_twice(small: SmallCohort) -> None:
    first, second = trained(small), trained(small)
    assert [numbers(report) for report, _ in first] == [numbers(report) for report, _ in second]
    assert_same_state(first[-1][1], second[-1][1])


def test_the_seed_decides_dropout(small: SmallCohort) -> None:
    (first, _), *_ = trained(small, seed=0)
    (second, _), *_ = trained(small, seed=1)
    assert first.train_loss != second.train_loss


def test_what_happens_between_epochs_has_no_effect(small: SmallCohort) -> None:
    reports = []
    for report in fit(net(), small.batches(), small.train, seed=0):
        torch.rand(3)
        np.random.default_rng().random(3)
        reports.append(numbers(report))
    undisturbed = [numbers(r) for r in fit(net(), small.batches(), small.train, seed=0)]
    assert reports == undisturbed


def test_epochs_count_from_zero_up_to_the_configs(small: SmallCohort) -> None:
    assert [report.epoch for report, _ in trained(small)] == [0, 1, 2, 3]


def test_nothing_is_left_to_do_after_the_last_epoch(small: SmallCohort) -> None:
    assert trained(small, trained(small)[-1][1]) == []


def test_a_caller_stops_by_not_asking_for_more(small: SmallCohort) -> None:
    model = net()
    reports = fit(model, small.batches(), small.train, seed=0)
    next(reports)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reports.close()  # type: ignore[attr-defined]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_report_scores_its_own_predictions(small: SmallCohort) -> None:
    report, _ = trained(small)[0]
    found = report.predictions
    assert found.case == small.fold.val
    assert found.label.tolist() == [1, 0, 0, 0]
    assert report.rates == rates(found.label, found.probability)
    assert report.val_loss == pytest.approx(log_loss(found.label, found.probability))
    assert (report.lr, report.seconds > 0) == (small.train.lr, True)


def test_training_learns_what_the_table_tells(small: SmallCohort) -> None:
    telling = replace(small, rows=small.rows.with_columns(t_ord=small.rows["label"] * 7.0))
    config = replace(small.train, epochs=30, optimizer="adamw", weight_decay=0.0)
    last = list(fit(net(), telling.batches(), config, seed=0))[-1]
    assert last.rates["auroc"] == 1.0
    assert last.val_loss < 0.45 < math.log(2)


def test_the_training_loss_is_that_of_the_windows(small: SmallCohort) -> None:
    config = replace(small.train, epochs=1, lr=1e-9)
    batches = small.batches(batch_size=3, oversample=False)  # 3, 3 and 2 windows
    report = next(iter(fit(Constant(1.0), batches, config, seed=0)))
    of_squamous, of_adenocarcinoma = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    assert report.train_loss == pytest.approx((2 * of_squamous + 6 * of_adenocarcinoma) / 8)


def test_a_cases_probability_is_the_mean_over_its_windows(small: SmallCohort) -> None:
    batches = small.batches().val
    model = Brightness()
    sums: dict[int, list[float]] = {}
    for batch in batches:
        for case, window in zip(batch.case, batch.volume, strict=True):
            sums.setdefault(int(case), []).append(float(torch.sigmoid(window.mean().double())))
    expected = [np.mean(sums[index]) for index in range(4)]
    assert [len(sums[index]) for index in range(4)] == [3, 4, 5, 6]
    assert predict(model, batches).probability == pytest.approx(expected, abs=1e-6)


def test_the_batch_size_does_not_change_predictions(small: SmallCohort) -> None:
    model = net()
    few, many = (predict(model, replace(small.batches().val, batch_size=size)) for size in (1, 18))
    assert few.probability == pytest.approx(many.probability, abs=1e-6)


def test_predicting_changes_no_weight_and_no_statistic(small: SmallCohort) -> None:
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    predict(model, small.batches().val)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_a_saturated_probability_has_a_finite_loss() -> None:
    sure = Predictions(("a", "b"), np.array([1, 0]), np.array([0.0, 0.0]))
    assert sure.log_loss() == pytest.approx(-math.log(1e-7) / 2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_epoch_and_batch(small: SmallCohort, value: float) -> None:
    with pytest.raises(FloatingPointError, match=r"loss became (nan|inf) in epoch 0, batch 0"):
        list(fit(Constant(value), small.batches(), small.train, seed=0))


class Bursting(Constant):
    """Fine in training, NaN in evaluation, as weights that burst in the last step are."""

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        found = super().forward(volume, table)
        return found if self.training else found * math.nan


def test_a_validation_that_is_no_number_names_the_epoch(small: SmallCohort) -> None:
    with pytest.raises(FloatingPointError, match="validation probability became NaN after epoch 0"):
        list(fit(Bursting(0.0), small.batches(), small.train, seed=0))


def one_step(small: SmallCohort, **changes: Any) -> tuple[Tensor, Callable[[float], float]]:
    """The only weight after one epoch of one batch, and its gradient as a function of it."""
    config = replace(small.train, epochs=2, batch_size=16, oversample=False, **changes)
    model = Constant(0.3)
    list(fit(model, small.batches(batch_size=16, oversample=False), config, seed=0))
    share = 2 / 8  # squamous among the training windows

    def gradient(logit: float) -> float:
        return 1 / (1 + math.exp(-logit)) - share

    return model.logit.detach(), gradient


def test_sgd_uses_momentum_dampening_and_weight_decay(small: SmallCohort) -> None:
    found, gradient = one_step(small, lr=0.1, momentum=0.5, dampening=0.25, weight_decay=0.2)
    first = gradient(0.3) + 0.2 * 0.3
    weight = 0.3 - 0.1 * first
    second = 0.5 * first + (1 - 0.25) * (gradient(weight) + 0.2 * weight)
    assert float(found) == pytest.approx(weight - 0.1 * second, abs=1e-6)


def test_adamw_decays_weights_apart_from_the_gradient(small: SmallCohort) -> None:
    found, gradient = one_step(small, optimizer="adamw", lr=0.1, weight_decay=0.2)
    weight, m, v = 0.3, 0.0, 0.0
    for step in (1, 2):
        g = gradient(weight)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        weight *= 1 - 0.1 * 0.2
        weight -= 0.1 * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
    assert float(found) == pytest.approx(weight, abs=1e-5)


def test_frozen_weights_stay_and_have_no_state(small: SmallCohort) -> None:
    _, state = trained(small)[-1]
    assert torch.equal(state.tensors["model.frozen"], torch.ones(1))
    assert len(state.part("optimizer.")) == 6  # conv, norm, head: weight and bias each


def test_a_snapshot_stays_as_it_was_taken(small: SmallCohort) -> None:
    reports = fit(net(), small.batches(), small.train, seed=0)
    taken = next(iter(reports)).snapshot()
    before = {name: tensor.clone() for name, tensor in taken.tensors.items()}
    list(reports)
    assert all(torch.equal(tensor, taken.tensors[name]) for name, tensor in before.items())


def test_a_snapshot_asked_for_too_late_is_refused(small: SmallCohort) -> None:
    first, *_ = list(fit(net(), small.batches(), small.train, seed=0))
    with pytest.raises(RuntimeError, match="snapshot of epoch 0 was asked for after epoch 3"):
        first.snapshot()


def test_a_snapshot_alone_is_enough_to_predict(small: SmallCohort, tmp_path: Path) -> None:
    report, snapshot = trained(small)[-1]
    checkpoint.save(tmp_path / "best.safetensors", snapshot)
    kept = checkpoint.load(tmp_path / "best.safetensors", tmp_path)
    model = net(seed=5)
    load_model_state(model, kept)
    batches = replace(
        small.batches().val,
        encoder=TableEncoder.from_json(kept.meta["encoder"]),
        intensity=Intensity.from_json(kept.meta["intensity"]),
    )
    found = predict(model, batches)
    assert found.probability.tolist() == report.predictions.probability.tolist()


def test_a_snapshots_meta_data_are_plain_json(small: SmallCohort) -> None:
    meta = dict(trained(small)[0][1].meta)
    assert json.loads(json.dumps(meta)) == meta
    assert (meta["epoch"], meta["optimizer"]) == (0, "SGD")


def test_a_checkpoint_of_another_network_is_refused_with_every_difference() -> None:
    tensors = {f"model.{name}": t for name, t in net(channels=2).state_dict().items()}
    tensors["model.more"] = tensors.pop("model.unused")
    with pytest.raises(DataError, match=r"another network \(9 differences") as caught:
        load_model_state(net(channels=3), Checkpoint(tensors, {}))
    for fault in (
        "unused is missing",
        "more is not the network's",
        "head.weight has shape [1, 9] instead of [1, 10]",
    ):
        assert fault in str(caught.value)


def test_going_on_with_another_optimiser_is_refused(small: SmallCohort) -> None:
    _, snapshot = trained(small, epochs=1)[0]
    with pytest.raises(DataError, match="trained with SGD, the config says AdamW"):
        trained(small, snapshot, optimizer="adamw")


def test_micro_batches_make_the_step_of_the_whole_batch(small: SmallCohort) -> None:
    whole, _ = one_step(small, lr=0.1)
    parts, _ = one_step(small, lr=0.1, accumulate=3)
    assert float(parts) == pytest.approx(float(whole), abs=1e-6)


def test_micro_batches_never_hold_a_single_window(small: SmallCohort) -> None:
    sizes: list[int] = []

    class Noting(Constant):
        def forward(self, volume: Tensor, table: Tensor) -> Tensor:
            if self.training:
                sizes.append(len(volume))
            return super().forward(volume, table)

    batches = small.batches(batch_size=5, oversample=False)  # 8 windows: batches of 5 and 3
    config = replace(small.train, epochs=1, batch_size=5, accumulate=2)
    list(fit(Noting(0.3), batches, config, seed=0))
    assert sizes == [3, 2, 3]


def test_the_learning_rate_warms_up_falls_and_is_reported(small: SmallCohort) -> None:
    found = trained(small, epochs=5, warmup_epochs=2, schedule="cosine", lr=0.1)
    expected = [0.05, 0.1, 0.1, 0.1 * (1 + math.cos(math.pi / 3)) / 2, 0.025]
    assert [report.lr for report, _ in found] == pytest.approx(expected)


def test_a_step_is_as_long_as_the_reported_learning_rate(small: SmallCohort) -> None:
    plain, _ = one_step(small, lr=0.05, momentum=0.0, weight_decay=0.0)
    warming, gradient = one_step(small, lr=0.1, momentum=0.0, weight_decay=0.0, warmup_epochs=2)
    first = 0.3 - 0.05 * gradient(0.3)
    assert float(warming) == pytest.approx(first - 0.1 * gradient(first), abs=1e-6)
    assert float(plain) == pytest.approx(first - 0.05 * gradient(first), abs=1e-6)


HAS_BF16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@pytest.mark.skipif(not HAS_BF16, reason="this processor has no bf16")
def test_bf16_trains_to_nearly_the_same_numbers(small: SmallCohort) -> None:
    exact, rounded = trained(small), trained(small, precision="bf16")
    for (ours, _), (theirs, _) in zip(rounded, exact, strict=True):
        assert ours.train_loss != theirs.train_loss
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.05)


def test_bf16_is_refused_where_the_processor_has_none(
    small: SmallCohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(ValueError, match="bf16, which this cpu does not have; use fp32"):
        trained(small, precision="bf16")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated")  # torch's own
def test_a_compiled_network_trains_to_nearly_the_same_numbers(small: SmallCohort) -> None:
    found = []
    for compiled in (False, True):
        model = net()
        model.drop.p = 0.0  # a compiled network draws other random numbers
        config = replace(small.train, epochs=2, compile=compiled)
        found.append(list(fit(model, small.batches(), config, seed=0)))
        assert "conv.weight" in model.state_dict()
    for ours, theirs in zip(*found, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)
