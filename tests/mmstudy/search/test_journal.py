"""The journal of one driver shows the trials that Optuna's own storage shows."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from mmcaf.files.atomic import StorageError
from mmstudy.search.journal import Journal, open_journal

ENDS = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]


def study_in(storage: BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="study", load_if_exists=True)


def shown(storage: BaseStorage, states: Any) -> list[Any]:
    study = optuna.load_study(storage=storage, study_name="study")
    trials = study.get_trials(deepcopy=False, states=states)
    fields = ("number", "state", "values", "params", "intermediate_values", "user_attrs")
    return [[getattr(trial, field) for field in fields] for trial in trials]


def work(study: optuna.Study, steps: int) -> None:
    """Trials that begin, report and end in any order; some stay queued, some running."""
    random, running = np.random.default_rng(0), dict[int, optuna.Trial]()
    study.enqueue_trial({"x": 0.25})
    for step in range(steps):
        act = random.integers(3)
        if act == 0 or not running:
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            running[trial.number] = trial
            continue
        number = int(random.choice(list(running)))
        if act == 1:
            running[number].report(float(step), step)
            running[number].set_user_attr("rung", step)
        else:
            state = ENDS[number % 3]
            study.tell(running.pop(number), 1.0 if number % 3 == 0 else None, state=state)
    study.enqueue_trial({"x": 0.75})


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_at_every_look_it_shows_what_optuna_shows(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    ours = open_journal(path)
    plain = JournalStorage(JournalFileBackend(str(path)))
    study = study_in(ours)
    asked = [None, [TrialState.WAITING], [TrialState.RUNNING, TrialState.WAITING]]
    asked += [[TrialState.COMPLETE], [TrialState.PRUNED, TrialState.RUNNING], ENDS]
    for steps in (1, 7, 40, 60):
        work(study, steps)
        for states in asked:
            assert shown(ours, states) == shown(plain, states), states
        assert shown(open_journal(path), None) == shown(plain, None)
    assert len(shown(ours, None)) > 25
    assert all(shown(ours, [state]) for state in [*ENDS, TrialState.RUNNING, TrialState.WAITING])


def test_a_line_left_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    work(study_in(open_journal(path)), 5)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    storage = open_journal(path)
    trials = shown(storage, None)
    study_in(storage).enqueue_trial({"x": 0.5})  # the next line
    assert path.read_bytes().startswith(whole)
    plain = shown(JournalStorage(JournalFileBackend(str(path))), None)
    assert trials == plain[:-1]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_journal_is_opened_as_far_as_it_can_be_read_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "optuna.journal"
    work(study_in(open_journal(path)), 20)
    lines = path.read_bytes().splitlines(keepends=True)
    for bad in (b"no json\n", b"{}\n", b'{"op_code": 77}\n', b"[" * 99_999 + b"\n", b"\xff\n"):
        path.write_bytes(b"".join([*lines[:9], bad, *lines[9:]]))
        found = open_journal(path)
        assert isinstance(found, Journal)
        assert (found.fault or "").startswith("its line 10 is no step of a study")
        path.write_bytes(b"".join(lines[:9]))
        assert shown(found, None) == shown(open_journal(path), None)
    path.write_bytes(lines[0][:9])
    cut = open_journal(path)
    assert isinstance(cut, Journal)
    assert cut.fault == "it is cut off in its first line"


def test_nothing_is_written_before_the_first_change(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "optuna.journal"
    open_journal(path)
    assert not path.parent.exists()


def test_a_full_disk_is_told_and_the_next_line_begins_where_the_last_whole_one_ended(
    tmp_path: Path,
) -> None:
    path = tmp_path / "optuna.journal"
    study = study_in(open_journal(path))
    work(study, 5)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(StorageError, match=r"optuna\.journal: File too large"):
            study.enqueue_trial({"x": 0.1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert len(path.read_bytes()) > len(before)  # half a line
    study.enqueue_trial({"x": 0.2})
    assert path.read_bytes().startswith(before)
    assert study.get_trials()[-1].system_attrs == {"fixed_params": {"x": 0.2}}


def test_looks_do_not_hand_out_what_the_journal_keeps(tmp_path: Path) -> None:
    storage = open_journal(tmp_path / "optuna.journal")
    study = study_in(storage)
    work(study, 10)
    known = shown(storage, None)
    study.get_trials(deepcopy=False).reverse()
    assert shown(storage, None) == known
