"""One door: a study at an address gives what the same study in a folder gives, from any machine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.files.look_notes import looks_folder
from mmcaf.files.remote import Remote, place
from mmstudy.comparison.comparison import compare
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import MMStudyError
from mmstudy.followup import predict as predicting
from mmstudy.followup.evaluate import evaluate
from mmstudy.followup.explain import explain
from mmstudy.followup.predict import predict
from mmstudy.followup.rerun import task_of
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage import explanations, lease, mirror, stop
from mmstudy.storage.compaction import compact
from mmstudy.storage.folder import StudyFolder
from mmstudy.study import Study, open_study
from support.keyed import keyed
from support.object_store import object_store
from support.opened_files import opened
from support.tiny_spec import TINY_SPEC

SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "protocol": {"kind": "kfold", "folds": 2, "test": {"fraction": 0.2, "seed": 1}},
    "model": {"width": 0.0625, "token_grid": [1, 1, 2], "pyramid_scales": [2, 3]},
    "space": {"train.lr": {"float": [1e-3, 1e-2], "log": True}},
    "search": {"trials": 1, "startup_trials": 1},
}
Command = Callable[..., tuple[int, str, str]]
Machine = Callable[[str], None]


@dataclass(frozen=True)
class Twins:
    """One study in a folder and one at an address, of the same spec and cohort."""

    local: Study
    address: str


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Other patients."""
    folder = tmp_path_factory.mktemp("others")
    write(folder / "dicom", SyntheticSpec(patients=6, size=48, slices=12, seed=77))
    return ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48)


@pytest.fixture(scope="module", params=["file", "s3"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "_PULL_EVERY_SECONDS", 0.0)
        patch.setattr(lease, "_SETTLE_SECONDS", 0.01)
        if request.param == "file":
            yield f"file://{tmp_path_factory.mktemp('store')}"
            return
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with object_store() as (address, _):
            yield address


def below(root: str, name: str) -> str:
    head, mark, query = root.partition("?")
    return f"{head}/{name}{mark}{query}"


@pytest.fixture(scope="module")
def twins(root: str, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Both run here; whoever reads the one at the address has another machine's cache."""
    here = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMCAF_CACHE", str(tmp_path_factory.mktemp("driver")))
        stored = Remote.at(below(root, "cohort"))
        for file in cohort.folder.rglob("*"):
            if file.is_file() and file.name != "cohort.key":
                stored.put(file.relative_to(cohort.folder).as_posix(), file)
        for at, of in (
            (here, cohort.folder),
            (place(below(root, "studies")), place(stored.address, "cohort")),
        ):
            run_study(
                plan_study(parse_spec(SPEC), cohort=of, root=at, name="s"),
                InlineRunner(),
                notify=lambda _: None,
                progress=lambda *_: None,
            )
    yield Twins(open_study(here / "s"), below(root, "studies/s"))
    shutil.rmtree(here)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Makes this process one of another machine, with a cache of its own."""

    def become(name: str) -> None:
        monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / name))

    become("first")
    return become


def test_it_is_opened_by_its_address_and_has_the_same_tables(
    twins: Twins, machine: Machine
) -> None:
    far = open_study(twins.address)
    assert far.name == "s"
    assert far.folder.address == twins.address
    same = ["number", "state", "value", "best_epoch", "seed"]
    assert_frame_equal(far.trials().select(same), twins.local.trials().select(same))
    assert_frame_equal(far.predictions(), twins.local.predictions())


def test_a_comparison_has_the_baselines_of_the_cohort(twins: Twins, machine: Machine) -> None:
    notes = looks_folder(twins.local.cohort().folder)  # of other tests' looks; a store has none
    shutil.rmtree(notes, ignore_errors=True)
    near, far = compare(twins.local).as_dict(), compare(open_study(twins.address)).as_dict()
    (told,) = (note for note in far["notes"] if note not in near["notes"])
    assert "Looks of studies elsewhere may be missing. Its cohort lies in a store" in told
    far["notes"].remove(told)
    assert near == far
    kinds = {row["kind"] for section in far["sections"] for row in section["rows"]}
    assert "baseline" in kinds


def test_without_its_cohort_a_comparison_says_why_baselines_are_missing(twins: Twins) -> None:
    found = compare(Study(twins.local.folder, replace(twins.local.about, cohort=None)))
    assert any("Baselines are missing" in note and "--cohort" in note for note in found.notes)


def test_explanations_made_on_one_machine_are_read_on_another(
    twins: Twins, machine: Machine
) -> None:
    cases = twins.local.about.split.folds[1].val[:1]
    near = explain(twins.local, 0, cases=cases)
    far = explain(open_study(twins.address), 0, cases=cases)
    assert far == near
    machine("second")
    there = open_study(twins.address)
    assert explanations.load(there.folder, 0) == near
    for case in near.cases:
        picture, local = (near.picture(study.folder, case.case) for study in (there, twins.local))
        assert picture is not None
        assert local is not None
        assert picture.read_bytes() == local.read_bytes()
        found = near.map(there.folder, case.case)
        assert found is not None
        assert (found == near.map(twins.local.folder, case.case)).all()


def test_explain_says_that_it_trains_again_only_where_it_does(
    twins: Twins, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicting.networks(  # kept in the store from here on
        open_study(twins.address),
        task_of(open_study(twins.address), 0, twins.local.cohort()),
        int(twins.local.trial(0)["best_epoch"]),
        lambda *_: None,
    )
    machine("second")
    said: list[str] = []
    cases = twins.local.about.split.folds[1].val[:1]
    explain(open_study(twins.address), 0, cases=cases, say=said.append)
    assert not [line for line in said if "trained again" in line]


def test_a_comparison_fetches_no_volume(twins: Twins, machine: Machine, tmp_path: Path) -> None:
    compare(open_study(twins.address))
    assert list(tmp_path.rglob("cohort.parquet"))
    assert not list(tmp_path.rglob("*.npy"))


def test_a_study_in_a_store_grows_under_a_reader(twins: Twins, machine: Machine) -> None:
    reader, before = open_study(twins.address), open_study(twins.address).read()
    looks = before.evaluations().height
    evaluate(open_study(twins.address), 0)
    assert reader.evaluations().height == looks + 1
    assert before.evaluations().height == looks
    before.refresh()
    assert before.evaluations().height == looks + 1


def test_a_driver_hears_a_request_left_in_the_store(
    twins: Twins, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "_LOOK_STORE_SECONDS", 0.05)
    asked = threading.Event()
    driver = open_study(twins.address).folder.working()
    with stop.stoppable(driver, asked.set, asked.is_set):
        assert not asked.wait(0.2)
        stop.ask_to_stop(open_study(twins.address).folder)
        assert asked.wait(5)
    machine("third")
    folder = open_study(twins.address).folder
    folder.fetch(folder.stop)
    assert not folder.stop.exists()


def test_networks_are_trained_once_for_all_machines(
    twins: Twins, others: Cohort, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = predict(twins.local, 0, others.folder)
    assert_frame_equal(predict(open_study(twins.address), 0, others.folder), near)
    machine("second")

    def never(*_: object, **__: object) -> None:
        pytest.fail("it was trained again")

    monkeypatch.setattr(predicting, "train", never)
    assert_frame_equal(predict(open_study(twins.address), 0, others.folder), near)


def test_a_look_at_the_test_set_is_counted_on_every_machine(twins: Twins, machine: Machine) -> None:
    before = open_study(twins.address).evaluations().height
    for look in (before + 1, before + 2):
        machine(f"look {look}")
        assert evaluate(open_study(twins.address), 0)["look"] == look
    machine("third")
    far = open_study(twins.address)
    assert far.evaluations()["look"].to_list() == [*range(1, before + 3)]
    assert far.test_predictions(before + 2).height == len(far.about.split.test)


def test_a_plain_folder_is_its_own_working_copy(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    assert folder.working() is folder
    assert not folder.stored
    assert folder.address == str(tmp_path / "s")


def test_an_address_with_options_keeps_them(machine: Machine) -> None:
    folder = StudyFolder.at("s3://bucket/studies/s?region=eu-central-1")
    assert folder.name == "s"
    assert folder.address == "s3://bucket/studies/s?region=eu-central-1"


def test_a_comparison_reads_each_file_once(twins: Twins) -> None:
    evaluate(twins.local, 0)
    with opened() as read:
        compare(twins.local)
    tables = [file for file in read if file.endswith(".parquet")]
    ours = [file for file in tables if str(twins.local.folder.root) in file]
    assert ours
    assert sorted(ours) == sorted(set(ours))


def test_a_study_reads_anew_and_a_snapshot_does_not(twins: Twins) -> None:
    study, before = twins.local, twins.local.read()
    height = before.trials().height
    file = study.folder.trial(0)
    kept = file.read_bytes()
    try:
        file.unlink()
        assert study.trials().is_empty()
        assert before.trials().height == height
        assert before.read() is before
    finally:
        file.write_bytes(kept)


def test_another_cohort_is_refused_by_one_sentence(twins: Twins, others: Cohort) -> None:
    words = f"was begun on cohort {twins.local.about.cohort_digest}, the one in .* --cohort"
    with pytest.raises(MMStudyError, match=words):
        twins.local.cohort(others.folder)


def test_a_deleted_study_leaves_nothing_and_its_name_can_be_used_again(
    root: str, cohort: Cohort, machine: Machine, tmp_path: Path, command: Command
) -> None:
    """Compacted, explained, deleted; a new one of the same name knows nothing of it."""
    address = below(root, "other/s")

    def begun() -> Study:
        run_study(
            plan_study(parse_spec(SPEC), cohort=cohort.folder, root=below(root, "other"), name="s"),
            InlineRunner(),
        )
        return open_study(address)

    def compacted() -> None:
        folder = open_study(address).folder.working()
        folder.refresh(at_once=True)
        assert compact(folder) == 1

    begun()
    compacted()
    study = open_study(address)
    predicting.networks(study, task_of(study, 0, cohort), 0, lambda *_: None)
    assert list(tmp_path.rglob("fold-*.safetensors"))
    assert command("rm", address, "--yes")[0] == 0
    assert not list(tmp_path.rglob("fold-*.safetensors"))
    assert not list(tmp_path.rglob("*.parquet"))
    again = begun()
    assert again.trials().height == 1
    compacted()
    assert again.importances() == open_study(address).importances()
