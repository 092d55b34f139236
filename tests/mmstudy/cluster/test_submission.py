"""What would be sent to a cluster, and how a job is named and found; no cluster is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from mmstudy.cluster.ray_jobs import Head
from mmstudy.cluster.submit import Submission, alive, folder_faults, how_to_follow, next_job
from mmstudy.errors import UsageError
from mmstudy.provenance import CODE_VARIABLE
from mmstudy.ray_env import GROWTH_VARIABLE
from mmstudy.spec.study_spec import parse_spec
from support.tiny_spec import TINY_SPEC

ADDRESS = "http://head:8265"


class Jobs:
    """A head that knows some jobs."""

    def __init__(self, *jobs: tuple[str, bool, str | None]) -> None:
        self.address = ADDRESS
        self._jobs = jobs

    def jobs(self) -> Any:
        for name, lives, study in self._jobs:
            yield name, lives, {} if study is None else {"study": study}


def head(*jobs: tuple[str, bool, str | None]) -> Head:
    return cast("Head", Jobs(*jobs))


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "specs" / "my space.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(TINY_SPEC))
    return path


def submission(spec_file: Path, **changes: Any) -> Submission:
    given = {"cohort": "/data/c", "root": "/data/studies", "name": "heads"} | changes
    return Submission(spec=parse_spec(TINY_SPEC), spec_file=spec_file, **given)


def checkout(folder: Path) -> Path:
    (folder / "platform" / "mmstudy").mkdir(parents=True)
    return folder


def test_only_the_spec_travels_unless_a_folder_is_given(spec_file: Path) -> None:
    (spec_file.parent / "patients.dcm").write_bytes(b"secret")
    (spec_file.parent / "deep").mkdir()
    (spec_file.parent / "deep" / spec_file.name).write_text("another")
    from mmstudy.cluster.ray_jobs import sent_files

    of = submission(spec_file)
    assert [str(path) for path in sent_files(of.folder, of.excludes)] == ["my space.yaml"]
    assert folder_faults(of) == []


def test_of_a_folder_patients_and_studies_stay_here(spec_file: Path) -> None:
    folder = spec_file.parent
    for name in (
        "studies/s/study.json",
        "cohorts/c/x",
        "deep/a.dcm",
        "demo/x",
        "code.py",
        "deep/b",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    from mmstudy.cluster.ray_jobs import sent_files

    of = submission(spec_file, working_dir=folder)
    sent = sorted(str(path) for path in sent_files(folder, of.excludes))
    assert sent == ["code.py", "deep/b", "my space.yaml"]


def test_a_job_is_the_command_a_user_would_type_there(spec_file: Path) -> None:
    job = submission(spec_file, overrides=("train.lr=0.1", "x=a b")).job(3)
    assert job.entrypoint == [
        *("mmstudy", "run", "my space.yaml", "--cohort", "/data/c", "--root", "/data/studies"),
        *("--name", "heads", "--set", "train.lr=0.1", "--set", "x=a b"),
    ]
    assert job.id == "heads-3"
    assert job.metadata == {"study": "/data/studies/heads"}
    assert job.runtime_env["working_dir"] == str(spec_file.parent)
    assert job.runtime_env["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "600"


def test_a_checkout_runs_its_own_code(spec_file: Path) -> None:
    folder = checkout(spec_file.parent)
    job = submission(spec_file, working_dir=folder).job(1)
    variables = job.runtime_env["env_vars"]
    assert job.entrypoint[:4] == ["python", "-m", "mmstudy.cli.main", "run"]
    assert variables["PYTHONPATH"].split(":")[0].endswith("/platform")
    assert CODE_VARIABLE in variables
    assert submission(spec_file).job(1).entrypoint[0] == "mmstudy"  # the same folder, not asked for


def test_what_overrides_the_spec_here_does_so_there(
    spec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSTUDY_TRAIN__LR", "0.5")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    variables = submission(spec_file, grows="CPU=64").job(1).runtime_env["env_vars"]
    assert variables["MMSTUDY_TRAIN__LR"] == "0.5"
    assert variables[GROWTH_VARIABLE] == "CPU=64"
    assert "secret" not in variables.values()


def test_files_are_shared_there_if_they_are_here(
    spec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMCAF_SHARED", raising=False)
    assert "MMCAF_SHARED" not in submission(spec_file).job(1).runtime_env["env_vars"]
    monkeypatch.setenv("MMCAF_SHARED", "1")
    assert submission(spec_file).job(1).runtime_env["env_vars"]["MMCAF_SHARED"] == "1"


def test_a_spec_outside_the_folder_sent_is_refused(spec_file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match=r"my space\.yaml must lie in the folder sent"):
        submission(spec_file, working_dir=tmp_path / "other").job(1)


def test_a_name_that_no_folder_can_have_is_refused(spec_file: Path) -> None:
    with pytest.raises(UsageError, match=r"Need a study's name without /"):
        submission(spec_file, name="a/b").job(1)


def test_a_spec_that_is_left_out_is_told(spec_file: Path) -> None:
    (spec_file.parent / ".rayignore").write_text("*.yaml\n")
    (fault,) = folder_faults(submission(spec_file, working_dir=spec_file.parent))
    assert "would not be sent" in fault
    assert ".rayignore" in fault


@pytest.mark.parametrize("root", ["/data/studies", "/data/studies/"])
def test_a_study_has_one_name_however_its_root_is_written(spec_file: Path, root: str) -> None:
    assert submission(spec_file, root=root).study == "/data/studies/heads"


class TestAlive:
    HEAD = head(
        ("heads-1", False, "/data/studies/heads"),
        ("heads-2", True, "/data/studies/heads"),
        ("other-1", True, "/data/other"),
        ("stranger", True, None),
    )

    def test_it_is_the_living_job_of_that_folder(self) -> None:
        assert alive(self.HEAD, "/data/studies/heads") == "heads-2"
        assert alive(self.HEAD, "/elsewhere/heads") is None

    def test_a_study_is_also_found_by_its_name_alone(self) -> None:
        assert alive(self.HEAD, "heads") == "heads-2"
        assert alive(self.HEAD, "eads") is None
        assert alive(self.HEAD, "stranger") is None

    def test_one_that_ended_lives_no_more(self) -> None:
        assert alive(head(("heads-1", False, "/data/heads")), "heads") is None


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ((), "heads-1"),
        (("heads-1", "heads-2"), "heads-3"),
        (("heads-9", "heads-10"), "heads-11"),
        (("heads-look-12ab", "other-5", "heads-x"), "heads-1"),
        (("my-heads-7",), "heads-1"),
    ],
)
def test_an_attempt_has_a_number_never_used(
    spec_file: Path, used: tuple[str, ...], expected: str
) -> None:
    known = head(*((name, False, None) for name in used))
    assert next_job(known, submission(spec_file)).id == expected


def test_a_user_is_told_how_to_follow_and_stop_a_job() -> None:
    told = how_to_follow(head(), "my-study-12")
    assert f"ray job logs --follow --address {ADDRESS} my-study-12" in told
    assert f"mmstudy stop my-study --address {ADDRESS}" in told
