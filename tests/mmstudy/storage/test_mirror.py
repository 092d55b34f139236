"""A study in an object store: a real S3 server on loopback, asked by the real client."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.node_cache import load_cohort
from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError
from mmcaf.files.remote import Remote, address_of, origin, place
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage import lease
from mmstudy.storage import mirror as copies
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.lock import check_held, driver_lock, holder
from mmstudy.storage.schema import EpochRow, State, TrialRow
from mmstudy.study import Study, list_studies, open_study
from mmstudy.trial.task import TrialTask
from support.cheap_trial import run_cheap
from support.epoch_row import epoch_row
from support.object_store import Requests, object_store
from support.tiny_spec import TINY_SPEC

Store = tuple[str, Requests]
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "train": {"epochs": 2},
    "space": {"train.lr": {"float": [1e-3, 3.0], "log": True}},
    # A sampler that goes on proposes other trials than one that was never stopped.
    "search": {"trials": 3, "enqueue": [{"train.lr": lr} for lr in (0.1, 0.5, 2.0)]},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with object_store() as found:
            yield found


@pytest.fixture
def store(
    server: Store, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """The address of a root of this test's own, and this machine's cache; nothing takes long."""
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(copies, "_PULL_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(lease, "_SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(lease, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "_STALE_SECONDS", 0.5)
    address, requests = server
    requests.count.clear()
    return address.replace("/studies?", f"/{request.node.name.partition('[')[0]}?"), requests


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "elsewhere"))


def two_epochs(task: TrialTask) -> Iterator[EpochRow | None]:
    params = json.loads(task.params) | {"train.epochs": 2, "seconds": 0}
    return run_cheap(replace(task, params=json.dumps(params)))


def run(address: str, cohort: Path, runner: Any = None, **changes: Any) -> Study:
    spec = parse_spec(deepcopy(SPEC) | changes)
    plan = plan_study(spec, cohort=cohort, root=place(address), name="s")
    run_study(
        plan,
        runner or InlineRunner(),
        notify=lambda _: None,
        progress=lambda *_: None,
        objective=two_epochs,
    )
    return open_study(place(address) / "s")


def ended(number: int) -> TrialRow:
    return TrialRow(
        number=number,
        state=State.COMPLETE,
        params="{}",
        seed=0,
        attempts=1,
        started=epoch_row().written,
        value=number / 1000,
        best_epoch=0,
    )


# Places.


def test_a_path_is_a_folder_and_its_own_address(tmp_path: Path) -> None:
    assert place(str(tmp_path)) == tmp_path
    assert origin(tmp_path) is None
    assert address_of(tmp_path) == str(tmp_path)


def test_a_folder_of_a_copy_is_a_copy_of_the_folder(store: Store) -> None:
    address, _ = store
    folder = place(address) / "s"
    head, _, query = address.partition("?")
    assert address_of(folder) == f"{head}/s?{query}"
    assert place(address, "work") != place(address)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://bucket/x", "begins with s3://"),
        ("s3://key:secret@bucket/x", "holds no credentials"),
        ("s3://bucket/x?no_such_option=1", "Cannot open"),
    ],
)
def test_a_wrong_address_is_a_sentence(address: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        place(address)


def test_a_store_that_is_not_there_is_a_sentence(store: Store) -> None:
    address, _ = store
    missing = address.replace("s3://bucket", "s3://no-such-bucket")
    with pytest.raises(StorageError, match="Cannot store x at"):
        Remote.at(missing).write("x", b"")
    with pytest.raises(DataError, match=r"Cannot read .* there is no bucket no-such-bucket"):
        list_studies(place(missing))
    closed = address.partition("?")[0] + "?endpoint_override=127.0.0.1:1&scheme=http"
    with pytest.raises(DataError, match=r"Cannot read .* Are address, region and credentials"):
        open_study(place(closed) / "s")


# A study.


class Killed(BaseException):
    pass


class KilledAfter(InlineRunner):
    """As a driver that is killed once so many epochs were reported; 0: right before the first."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def run(self, conductor: Any, objective: Any, resources: Any) -> None:
        while (task := conductor.next_task()) is not None:
            for row in objective(task):
                if not self.left:
                    raise Killed
                self.left -= 1
                if not conductor.on_epoch(row):
                    break
            conductor.on_end(task.number, None)


def test_a_study_runs_and_reads_as_in_a_folder(
    store: Store, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = run(store[0], cohort.folder)
    theirs = run(str(tmp_path / "plain"), cohort.folder)
    drop = ["written", "prepare_seconds"]
    for number in range(3):
        assert ours.metrics(number).drop(drop).equals(theirs.metrics(number).drop(drop))
        assert ours.predictions(number).equals(theirs.predictions(number))
    another_machine(monkeypatch, tmp_path)
    there = list_studies(place(store[0]))
    assert [study.name for study in there] == ["s"]
    assert there[0].trials().equals(ours.trials())
    assert not there[0].live()
    remote = origin(there[0].folder.root)
    assert remote is not None
    assert not remote.listed("artifacts/00000").keys() & {"artifacts/00000/last.safetensors"}


@pytest.mark.parametrize("epochs", [0, 1, 3, 5])
def test_a_killed_driver_is_continued_on_another_machine(
    store: Store,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs: int,
) -> None:
    address = store[0].replace("?", f"/{epochs}?")
    whole = run(str(tmp_path / "plain"), cohort.folder)
    with pytest.raises(Killed):
        run(address, cohort.folder, KilledAfter(epochs))
    another_machine(monkeypatch, tmp_path)
    study = run(address, cohort.folder)
    assert study.counts() == {"running": 0, "complete": 3, "pruned": 0, "fail": 0}
    assert study.trials()["value"].to_list() == whole.trials()["value"].to_list()
    drop = ["written", "prepare_seconds", "attempt"]
    for number in range(3):
        assert study.metrics(number).drop(drop).equals(whole.metrics(number).drop(drop))
    # What was recorded before the kill is not computed again; the report of its last was lost.
    killed, before = divmod(epochs, 4)
    attempts = study.metrics(killed)["attempt"].to_list()
    assert attempts == [1] * (before + 1) + [2] * (3 - before)
    assert [study.trial(number)["attempts"] for number in range(killed)] == [1] * killed


def test_what_a_reader_asks_for_does_not_grow_once_trials_are_compacted(store: Store) -> None:
    address, requests = store
    work, read = (StudyFolder(place(address, kind) / "s") for kind in ("work", "read"))
    ledger, asked = FolderLedger(work), []
    work.root.mkdir(parents=True)
    work.study.write_text("{}")
    copies.publish(work, work.study)

    def cost() -> Counter[str]:
        requests.count.clear()
        copies.pull(read)
        return Counter(requests.count)

    for batch in range(3):
        for number in range(batch * 12, batch * 12 + 12):
            ledger.put_epochs(number, [epoch_row(number=number)])
            ledger.put_trial(ended(number))
        loose = cost()
        ledger.compact()
        cost()
        asked.append(cost())
        rows = FolderLedger(read).trials()
        assert [row.number for row in rows] == [*range(batch * 12 + 12)]
        assert loose["GET"] >= 24  # a file for each table and trial, once
    assert asked[0] == asked[1] == asked[2] == Counter(LIST=6)
    assert not [*read.trials.glob("*.parquet")]
    requests.count.clear()
    copies.pull(StudyFolder(place(address, "fresh") / "s"))
    assert requests.count["GET"] <= 3 * 3 + 2  # segments, manifest, study.json


def test_a_reader_between_any_two_steps_of_compaction_finds_each_row_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = store
    work, read = (StudyFolder(place(address, kind) / "s") for kind in ("work", "read"))
    ledger = FolderLedger(work)
    for number in range(5):
        ledger.put_trial(ended(number))
    seen: list[list[int]] = []

    def looking(step: Callable[..., None]) -> Callable[..., None]:
        def then_look(*arguments: Any) -> None:
            step(*arguments)
            copies.pull(read)
            seen.append([row.number for row in FolderLedger(read).trials()])

        return then_look

    monkeypatch.setattr(Remote, "put", looking(Remote.put))
    monkeypatch.setattr(Remote, "delete", looking(Remote.delete))
    ledger.compact()
    assert len(seen) >= 4 + 5  # three segments, the manifest, five small files
    assert all(numbers == [0, 1, 2, 3, 4] for numbers in seen)


def test_the_journal_is_stored_in_parts_and_put_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_PART_BYTES", 10)
    paths = StudyFolder(place(store[0], "work") / "s")
    paths.root.mkdir(parents=True)
    lines = b""
    for line in (b"one\n", b"two, a long one\n", b"three\n", b"four, the longest of them all\n"):
        lines += line
        paths.journal.write_bytes(lines)
        store[1].count.clear()
        copies.publish_journal(paths)
        assert store[1].count["PUT"] <= len(line) // 10 + 2
        there = StudyFolder(place(store[0], f"at {len(lines)}") / "s")
        copies.pull_journal(there)
        assert there.journal.read_bytes() == lines
    remote = origin(paths.root)
    assert remote is not None
    remote.delete("journal/000001")
    with pytest.raises(StorageError, match="lacks parts"):
        copies.pull_journal(paths)


# The lease.


def test_a_second_driver_is_refused_while_the_first_lives(store: Store) -> None:
    here, there = (StudyFolder(place(store[0], kind) / "s") for kind in ("work", "there"))
    with driver_lock(here):
        assert holder(there) is not None
        with (
            pytest.raises(UsageError, match=r"Another driver runs .* process \d+"),
            driver_lock(there),
        ):
            pass
        check_held(here)
    assert holder(there) is None
    with driver_lock(there):
        check_held(there)


def silent(owner: str, host: str) -> bytes:
    at = "2026-01-01T00:00:00+00:00"
    return json.dumps({"owner": owner, "host": host, "process": 1, "beat": 7, "at": at}).encode()


def test_the_lease_of_a_machine_that_fell_silent_is_taken_after_a_while(store: Store) -> None:
    paths = StudyFolder(place(store[0], "work") / "s")
    remote = origin(paths.root)
    assert remote is not None
    remote.write("driver.lease.json", silent("dead", "elsewhere"))
    assert holder(paths) is None
    begun = time.monotonic()
    with driver_lock(paths):
        assert time.monotonic() - begun >= 0.5
        check_held(paths)


def test_who_lost_the_lease_writes_nothing_more(store: Store) -> None:
    paths = StudyFolder(place(store[0], "work") / "s")
    remote = origin(paths.root)
    assert remote is not None
    with driver_lock(paths):
        FolderLedger(paths).put_trial(ended(0))
        remote.write("driver.lease.json", silent("another", "elsewhere"))
        time.sleep(0.5)
        with pytest.raises(MMStudyError, match="has taken over"):
            FolderLedger(paths).put_trial(ended(1))
    assert remote.listed("trials").keys() == {"trials/00000.parquet"}
    assert b"another" in (remote.read("driver.lease.json") or b"")


def test_who_cannot_renew_the_lease_stops_before_another_may_take_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lease._OWN_SECONDS + lease._BEAT_SECONDS < 60.0  # the real `_STALE_SECONDS`
    paths = StudyFolder(place(store[0], "work") / "s")
    with driver_lock(paths):
        monkeypatch.setattr(lease, "_OWN_SECONDS", 0.2)

        def unreachable(*_: Any) -> None:
            raise StorageError(None, "no route")

        with monkeypatch.context() as patch:
            patch.setattr(Remote, "write", unreachable)
            time.sleep(0.4)
            with pytest.raises(MMStudyError, match="could not be written for"):
                check_held(paths)


# The cohort.


@pytest.fixture
def stored(store: Store, cohort: Cohort) -> str:
    """The cohort's address."""
    address = store[0].replace("?", "/cohort?")
    remote = Remote.at(address)
    for path in cohort.folder.rglob("*"):
        if path.is_file():
            remote.put(path.relative_to(cohort.folder).as_posix(), path)
    return address


def test_a_cohort_is_fetched_once_by_all_processes_of_a_machine(
    stored: str, store: Store, cohort: Cohort
) -> None:
    store[1].count.clear()
    found: list[Cohort] = []
    folder = place(stored, "cohort")
    threads = [threading.Thread(target=lambda: found.append(load_cohort(folder))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.digest for one in found} == {cohort.digest}
    volumes = cohort.patients.height
    assert store[1].count["GET"] == volumes + 2 + 3  # and each asks whether it is still the same
    assert pl.DataFrame(found[0].patients).equals(cohort.patients)


def test_a_volume_that_is_not_the_cohorts_is_refused(stored: str, cohort: Cohort) -> None:
    remote = Remote.at(stored)
    base = next((cohort.folder / "volumes").iterdir())
    path = next(base.glob("*.npy"))
    altered = np.load(path)
    altered[0, 0, 0] += 1
    with (base.parent / "altered").open("wb") as file:
        np.save(file, altered)
    remote.put(f"volumes/{base.name}/{path.name}", base.parent / "altered")
    (base.parent / "altered").unlink()
    with pytest.raises(DataError, match="are not those of cohort"):
        load_cohort(place(stored, "cohort"))


def test_a_study_finds_its_cohort_by_address(stored: str, store: Store, cohort: Cohort) -> None:
    from mmstudy.storage.about import cohort_place

    study = run(store[0], place(stored, "cohort"))
    assert cohort_place(study.about, study.folder) == place(stored, "cohort")
    assert study.about.cohort_digest == cohort.digest
    assert str(cohort.folder) not in study.folder.study.read_text()


# Stages, and the commands.


def test_a_stage_learnt_on_one_machine_is_used_on_another_and_never_replaced(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(content: bytes | None) -> tuple[StudyFolder, Path]:
        paths = StudyFolder(place(store[0], "trial") / "s")
        file = paths.shared / "trunk-ab.safetensors"
        file.parent.mkdir(parents=True)
        if content is not None:
            file.write_bytes(content)
            (paths.shared / "image-cd-last.safetensors").write_bytes(b"not whole yet")
        return paths, file

    paths, _ = here(b"first")
    copies.publish_stages(paths)
    another_machine(monkeypatch, tmp_path)
    paths, _ = here(b"second")
    copies.publish_stages(paths)
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "third"))
    paths, file = here(None)
    copies.pull_stages(paths)
    assert file.read_bytes() == b"first"
    assert [path.name for path in paths.shared.iterdir()] == [file.name]


def test_every_command_that_writes_does_so_in_the_store(
    store: Store,
    stored: str,
    command: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import yaml

    spec = tmp_path / "spec.yaml"
    protocol = {"kind": "kfold", "folds": 2, "test": {"fraction": 0.34}}
    spec.write_text(yaml.safe_dump(TINY_SPEC | {"search": {"trials": 1}, "protocol": protocol}))

    def done(*arguments: str) -> str:
        code, out, err = command(*arguments, "--root", store[0])
        assert code == 0, err
        return out

    done("run", str(spec), "--cohort", stored, "--name", "s", "--inline")
    done("confirm", "s", "--top", "1", "--seeds", "1", "--inline")
    done("evaluate", "s", "best")
    done("compact", "s")
    another_machine(monkeypatch, tmp_path)
    opened = open_study(place(store[0]) / "s")
    assert opened.confirmations().height == 2
    assert opened.evaluations()["look"].to_list() == [1]
    remote = origin(opened.folder.root)
    assert remote is not None
    assert not remote.listed("trials")
    assert len(remote.listed("segments")) == 4
    assert opened.counts()["complete"] == 1
    done("rm", "s", "--yes")
    assert not list_studies(place(store[0]))
    assert remote.listed() == {}
