"""A list of studies: what it says, that no broken one hides another, and how little it opens."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmstudy.analysis.listing import Listed, listed, standing
from mmstudy.storage.compaction import compact
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import CONFIRMATIONS, TRIALS, State, TrialRow
from mmstudy.study import Study, found_studies, list_studies, open_study
from support.broken_study import BREAKS
from support.made_study import MMCAF_SCORES, NOW, made_study
from support.opened_files import opened

LOW = np.random.default_rng(0).permutation(MMCAF_SCORES)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Three trials; number 1 is the best."""
    return made_study(tmp_path, scores=[LOW, MMCAF_SCORES, LOW], name="good")


def one(root: Path, name: str) -> Listed:
    (found,) = (line for line in listed(root) if line.name == name)
    return found


def check(study: Study) -> None:
    """The quick way and the one of a study alone must say the same."""
    line = one(study.folder.root.parent, study.name)
    assert line.standing is not None
    alone = standing(open_study(study.folder.root))
    for name in ("counts", "trial", "value", "live"):
        assert getattr(line.standing, name) == getattr(alone, name)


def test_a_study_stands_as_it_does_alone(study: Study, tmp_path: Path) -> None:
    for number, state in ((3, State.RUNNING), (4, State.PRUNED), (5, State.FAIL)):
        row = TrialRow(
            number=number, state=state, params="{}", seed=0, attempts=1, started=NOW, value=2.0
        )
        write_rows(study.folder.trial(number), TRIALS, [row.as_dict()])
    check(study)
    (line,) = listed(tmp_path)
    assert line.standing is not None
    assert (line.standing.trial, line.standing.counts["complete"]) == (1, 3)


def test_a_gathered_study_stands_as_before(study: Study) -> None:
    compact(study.folder)
    assert study.folder.manifest.exists()
    check(study)


def test_a_study_without_a_trial_has_none(study: Study, tmp_path: Path) -> None:
    shutil.rmtree(study.folder.trials)
    check(study)
    (line,) = listed(tmp_path)
    assert line.standing is not None
    assert (line.standing.trial, set(line.standing.counts.values())) == (None, {0})


def test_the_best_trial_is_the_best_confirmed_one(study: Study, tmp_path: Path) -> None:
    rows = [
        {
            "number": 2, "run": 0, "fold": fold, "epoch": 0, "seed": 1, "auroc": 0.6,
            "n_train": 20, "n_val": 20, "seconds": 1.0, "written": NOW,
        }
        for fold in range(study.folds)
    ]  # fmt: skip
    write_rows(study.folder.confirmation(2, 0), CONFIRMATIONS, rows)
    check(study)
    (line,) = listed(tmp_path)
    assert line.standing is not None
    assert line.standing.trial == 2


def test_who_runs_a_study_is_seen_without_its_lock_being_opened(study: Study) -> None:
    study.folder.lock.touch()
    with opened() as files:
        assert not study.live()
    assert not [path for path in files if path.endswith("driver.lock")]
    with driver_lock(study.folder):
        check(study)
        assert study.live()
    study.folder.lock.write_text("host somewhere, process 1")  # of a driver that was killed
    assert not study.live()


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_study_is_named_and_hides_no_other(
    study: Study, tmp_path: Path, what: str
) -> None:
    for name in ("after", "before", "broken"):
        shutil.copytree(study.folder.root, tmp_path / name)
    BREAKS[what](tmp_path / "broken")
    lines = {line.name: line for line in listed(tmp_path)}
    assert lines.keys() == {"after", "before", "broken", "good"}
    told = lines.pop("broken")
    assert told.standing is None
    assert told.fault
    assert all(line.standing is not None for line in lines.values())
    assert {"after", "before", "good"} <= {found.name for found in list_studies(tmp_path)}
    assert [found.folder.name for found in found_studies(tmp_path)] == [
        "after",
        "before",
        "broken",
        "good",
    ]


def test_what_is_no_study_is_left_out(study: Study, tmp_path: Path) -> None:
    (tmp_path / "bench-shared").mkdir()
    (tmp_path / "benchmark.json").write_text("{}")
    (tmp_path / "gone").symlink_to("nowhere")
    assert [line.name for line in listed(tmp_path)] == ["good"]
    assert [*listed(tmp_path / "nowhere")] == []


def test_of_many_studies_each_file_is_opened_once_and_all_tables_are_one_scan(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        shutil.copytree(study.folder.root, tmp_path / f"s{number}")
        (tmp_path / f"s{number}" / "driver.lock").touch()
    scans = Counter[str]()
    scan = pl.scan_parquet

    def counted(*given: Any, **more: Any) -> pl.LazyFrame:
        scans["all"] += 1
        return scan(*given, **more)

    monkeypatch.setattr(pl, "scan_parquet", counted)
    with opened() as files:
        lines = [*listed(tmp_path)]
    assert all(line.standing is not None for line in lines)
    assert scans["all"] == 1
    ours = Counter(Path(path).name for path in files if path.startswith(str(tmp_path)))
    assert ours == dict.fromkeys(("study.json", *(f"0000{n}.parquet" for n in range(3))), 31)


@pytest.mark.parametrize(("number", "told"), [(0, "is there twice"), (1, "rows of trial 1")])
def test_no_row_of_one_study_counts_for_another(number: int, told: str, tmp_path: Path) -> None:
    """Whatever rows its files hold: too many in the last one, none in the next study's first."""
    many, none = (made_study(tmp_path, scores=[LOW], name=name) for name in ("many", "none"))
    row = pl.read_parquet(none.folder.trial(0))
    row.clear().write_parquet(none.folder.trial(0))
    forged = row.with_columns(number=pl.lit(number, pl.Int32), value=pl.lit(0.99))
    pl.concat([pl.read_parquet(many.folder.trial(0)), forged]).write_parquet(many.folder.trial(0))
    lines = {line.name: line for line in listed(tmp_path)}
    assert told in (lines["many"].fault or "")
    found = lines["none"].standing
    assert found is not None
    assert (found.trial, found.counts["complete"]) == (None, 0)
