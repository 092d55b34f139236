"""A journal written anew from the records holds what the lost one held, and proposals go on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import BaseStorage

from mmstudy.errors import UsageError
from mmstudy.search import rebuild
from mmstudy.search.journal import open_journal
from mmstudy.search.optuna_study import Search
from mmstudy.search.rebuild import Known, rebuild_journal, unrecorded
from mmstudy.spec.study_spec import StudySpec, parse_spec
from mmstudy.storage.schema import EpochRow, State, TrialRow
from support.epoch_row import epoch_row

SAMPLERS = ("tpe", "random", "gp", "cmaes", "nsga2", "qmc", "grid")
START = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = {
    "train.lr": {"float": [1e-4, 1e-2], "log": True},
    "train.weight_decay": {"float": [0, 0.5]},
}
COUNTED = {"train.batch_size": {"choice": [2, 4, 8, 16]}, "train.epochs": {"int": [1, 6]}}


def disagreement(
    storage: BaseStorage,
    spec: StudySpec,
    rows: Iterable[TrialRow],
    epochs: dict[int, list[EpochRow]],
) -> str | None:
    return rebuild.disagreement(storage, spec, rows, folds=1, epochs=lambda n: epochs.get(n, []))


def spec(sampler: str = "tpe", **search: Any) -> StudySpec:
    asked = {"sampler": sampler, "startup_trials": 4, "trials": 24} | search
    space = COUNTED if sampler == "grid" else NUMBERS
    return parse_spec({"question": "Which?", "space": space, "search": asked})


class Recorded:
    """Trials that were run by a `Search` with a journal, and what the records keep of them."""

    def __init__(self, journal: Path, spec: StudySpec, trials: int) -> None:
        self.rows: dict[int, TrialRow] = {}
        self.epochs: dict[int, list[EpochRow]] = {}
        self.search = Search(journal, spec)
        for _ in range(trials):
            self.run()

    def run(self) -> dict[str, Any]:
        asked = self.search.ask()
        number, value = asked.number, 0.5 + sum(map(float, asked.params.values())) / 100
        rates = [value / 2, value]
        self.epochs[number] = [
            epoch_row(number=number, fold=0, epoch=epoch, auroc=rate)
            for epoch, rate in enumerate(rates)
        ]
        for epoch, rate in enumerate(rates):
            self.search.report(number, epoch, rate)
            self.search.should_prune(number)
        state = {5: State.PRUNED, 6: State.FAIL}.get(number % 7, State.COMPLETE)
        row = TrialRow(
            number=number, state=state, params=json.dumps(asked.params), seed=1, attempts=1,
            started=START, value=value if state is State.COMPLETE else None,
        )  # fmt: skip
        self.rows[row.number] = row
        if state is State.COMPLETE:
            self.search.complete(number, [value])
        elif state is State.PRUNED:
            self.search.prune(number)
        else:
            self.search.fail(number)
        return asked.params

    def leave_running(self) -> None:
        asked = self.search.ask()
        row = TrialRow(
            number=asked.number, state=State.RUNNING, params=json.dumps(asked.params), seed=1,
            attempts=1, started=START,
        )  # fmt: skip
        self.rows[row.number] = row


def shown(journal: Path) -> list[Any]:
    storage = open_journal(journal)
    (study,) = storage.get_all_studies()
    fields = ("number", "state", "values", "params", "intermediate_values", "distributions")
    ours = ("completed_rung", "cma:", "grid_id", "fixed_params")  # what rules later proposals
    trials = storage.get_all_trials(study._study_id)
    return [
        [
            *(getattr(trial, field) for field in fields),
            {k: v for k, v in trial.system_attrs.items() if k.startswith(ours)}
            if trial.state.name == "COMPLETE"
            else None,
        ]
        for trial in trials
    ]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("pruning", [None, {"grace_epochs": 1, "reduction": 2}])
def test_a_lost_journal_is_written_as_it_was_and_the_same_trials_come_next(
    tmp_path: Path, sampler: str, pruning: dict[str, int] | None
) -> None:
    known = spec(sampler).model_copy(update={"pruning": None})
    if pruning is not None:
        known = parse_spec(
            {"question": "Which?", "space": COUNTED if sampler == "grid" else NUMBERS}
            | {"search": known.search.model_dump(), "pruning": pruning}
        )
    lost, anew = tmp_path / "lost.journal", tmp_path / "anew.journal"
    recorded = Recorded(lost, known, 18)
    recorded.leave_running()
    rebuild_journal(anew, known, recorded.rows, recorded.epochs, open_journal(anew))
    assert shown(anew) == shown(lost)
    assert disagreement(open_journal(anew), known, recorded.rows.values(), recorded.epochs) is None
    first, second = Search(lost, known), Search(anew, known)
    for _ in range(2 if sampler == "gp" else 6):
        a = first.ask()
        assert a == second.ask()
        for search in (first, second):
            search.complete(a.number, [0.5 + sum(map(float, a.params.values())) / 100])
    assert first.interrupted() == second.interrupted() == [18]
    assert first.take_up(18) == second.take_up(18)


class TestDisagreement:
    @pytest.fixture
    def recorded(self, tmp_path: Path) -> Recorded:
        return Recorded(tmp_path / "j", spec(), 8)

    def told(
        self,
        tmp_path: Path,
        rows: Iterable[TrialRow],
        epochs: dict[int, list[EpochRow]] | None = None,
    ) -> str | None:
        return disagreement(open_journal(tmp_path / "j"), spec(), rows, epochs or {})

    def test_a_whole_journal_has_none(self, tmp_path: Path, recorded: Recorded) -> None:
        assert self.told(tmp_path, recorded.rows.values()) is None
        running = [replace(row, state=State.RUNNING, value=None) for row in recorded.rows.values()]
        # Killed before the rows were written; or what they were computed from is gone.
        assert self.told(tmp_path, running, recorded.epochs) is None
        assert self.told(tmp_path, running) == "it knows an end that nothing backs of trial 0"
        assert self.told(tmp_path, [*recorded.rows.values()][:-1]) is None
        assert self.told(tmp_path, []) is None
        assert disagreement(open_journal(tmp_path / "none"), spec(), [], {}) is None

    def test_what_differs_is_told(self, tmp_path: Path, recorded: Recorded) -> None:
        def changed(number: int, **change: Any) -> list[TrialRow]:
            rows = [*recorded.rows.values()]
            rows[number] = replace(rows[number], **change)
            return rows

        assert self.told(tmp_path, changed(2, value=0.1)) == "it has another value for trial 2"
        other = changed(2, params='{"train.lr": 0.001, "train.weight_decay": 0}')
        assert self.told(tmp_path, other) == "it has other params for trial 2"
        assert self.told(tmp_path, changed(2, params='{"x": 1}')) == (
            "it has other params for trial 2"
        )
        pruned = changed(2, state=State.PRUNED, value=None)
        assert self.told(tmp_path, pruned) == "it does not know the end of trial 2"
        later = [*recorded.rows.values(), replace(recorded.rows[0], number=9)]
        assert self.told(tmp_path, later) == "it ends before trial 9"
        (tmp_path / "j").unlink()
        assert self.told(tmp_path, recorded.rows.values()) == "it holds no study"

    def test_a_study_with_other_objectives_is_another(
        self, tmp_path: Path, recorded: Recorded
    ) -> None:
        two = spec("nsga2", objectives=["auroc", "parameters"])
        told = disagreement(open_journal(tmp_path / "j"), two, [], {})
        assert told == "it is of a study with other objectives"


@pytest.mark.parametrize("cut", range(0, 100, 5))
def test_a_journal_cut_anywhere_keeps_every_ended_trial(tmp_path: Path, cut: int) -> None:
    journal, known = tmp_path / "j", spec()
    recorded = Recorded(journal, known, 8)
    recorded.leave_running()
    content, whole = journal.read_bytes(), shown(journal)
    journal.write_bytes(content[: len(content) * cut // 100])
    old = open_journal(journal)
    assert disagreement(old, known, recorded.rows.values(), recorded.epochs) is not None
    rebuild_journal(journal, known, recorded.rows, recorded.epochs, old)
    assert shown(journal) == whole
    assert Search(journal, known).ask().number == 9


def test_trials_that_were_never_recorded_are_taken_from_the_old_journal(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    adopted = [Known("other trial 1", {"train.lr": 0.001, "train.weight_decay": 0.25}, (0.7,))]
    Search(journal, spec(), adopted)
    recorded = Recorded(journal, spec(), 5)
    assert [*recorded.rows] == [1, 2, 3, 4, 5]
    lost = recorded.rows.pop(3)  # its row, not its place in the journal
    old = open_journal(journal)
    assert unrecorded(old, spec(), recorded.rows) == {3: json.loads(lost.params)}
    rebuild_journal(journal, spec(), recorded.rows, recorded.epochs, old)
    search = Search(journal, spec())
    assert search.interrupted() == [3]
    assert search.take_up(3).params == json.loads(lost.params)
    assert shown(journal)[0][:4] == [0, shown(journal)[1][1], [0.7], adopted[0].params]
    assert 0 not in search.told()


def test_a_number_of_which_nothing_is_known_is_nobodys(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    recorded = Recorded(journal, spec(), 5)
    journal.unlink()
    rows = {number: row for number, row in recorded.rows.items() if number != 3}
    rebuild_journal(journal, spec(), rows, recorded.epochs, open_journal(journal))
    search = Search(journal, spec())
    assert sorted(search.told()) == [0, 1, 2, 4]
    assert search.ask().number == 5
    assert unrecorded(open_journal(journal), spec(), rows) == {}


def test_a_row_of_another_study_is_refused(tmp_path: Path) -> None:
    row = TrialRow(
        number=0, state=State.FAIL, params='{"model.x": 1}', seed=1, attempts=1, started=START
    )
    with pytest.raises(UsageError, match=r"Trial 0 has params .*model\.x"):
        rebuild_journal(tmp_path / "j", spec(), {0: row}, {}, open_journal(tmp_path / "j"))


def test_points_that_were_enqueued_are_not_asked_twice(tmp_path: Path) -> None:
    known = spec(enqueue=[{"train.lr": 0.001, "train.weight_decay": 0.25}])
    recorded = Recorded(tmp_path / "j", known, 3)
    rebuild_journal(tmp_path / "k", known, recorded.rows, recorded.epochs, open_journal(None))
    assert Search(tmp_path / "k", known).ask().params != json.loads(recorded.rows[0].params)
