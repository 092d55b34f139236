"""A head that is not there, is something else, or wants a token; and what would be uploaded."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmstudy.cli.submit import _submission
from mmstudy.cluster.ray_jobs import Head, sent_files
from mmstudy.cluster.submit import Submission, folder_faults
from mmstudy.errors import MMStudyError, UsageError
from support.ray_nodes import ray_token
from support.tiny_spec import TINY_SPEC


class _Answers(http.server.BaseHTTPRequestHandler):
    """Asks for a token as Ray does, and says so in other words to who has none."""

    token: str | None = None

    def do_GET(self) -> None:
        shown = self.headers.get("Authorization", "")
        if self.token is not None and shown != f"Bearer {self.token}":
            self.send_error(401 if not shown else 403)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.says).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Answers]]]:
    answers = type("_Own", (_Answers,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_address[1]}", answers
        one.shutdown()


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with ray_token(None):
        yield


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "own" / "spec.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(deepcopy(TINY_SPEC)))
    (path.parent / "patients.csv").write_text("never sent")
    return path


def submission(spec: Path, **changes: Any) -> Submission:
    found = {"cohort": "/c", "root": "/r", "name": None, "working_dir": None} | changes
    return _submission(str(spec), [], **found)


def test_a_dead_head_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    with pytest.raises(UsageError, match=f"Nothing answers at http://127.0.0.1:{port}"):
        Head(f"127.0.0.1:{port}")


def test_what_is_no_head_is_told(server: tuple[str, type[_Answers]]) -> None:
    with pytest.raises(UsageError, match="is no Ray head: the address is that of its dashboard"):
        Head(server[0])
    server[1].refuses = 404
    with pytest.raises(UsageError, match="is no Ray head"):
        Head(server[0])
    with pytest.raises(UsageError, match="--address must be http"):
        Head("ray://127.0.0.1:10001")


def test_a_token_that_lacks_or_is_wrong_is_told(
    server: tuple[str, type[_Answers]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server[1].token = "right"  # noqa: S105 - not one that opens anything
    with pytest.raises(UsageError, match="asks for a token: set RAY_AUTH_MODE=token"):
        Head(server[0])
    (tmp_path / "token").write_text("wrong\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UsageError, match="refuses the token"):
        Head(server[0])
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="RAY_AUTH_TOKEN_PATH: No such file"):
        Head(server[0])


@pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")  # Ray's call
def test_a_head_that_falls_silent_is_given_up_after_a_while(
    server: tuple[str, type[_Answers]],
) -> None:
    server[1].says = {"ray_version": "2.60.0"}
    head, said = Head(server[0]), list[str]()
    assert not head.asks_for_token
    with pytest.raises(MMStudyError, match=r"has not answered for 0\.1 s"):
        head.follow("s-1", lambda _: None, said.append, patience=0.1)
    assert said == ["The connection to the head is lost; trying again. The study goes on."]


def test_nothing_but_the_spec_is_sent_unless_a_folder_is_given(spec: Path) -> None:
    own = submission(spec)
    assert {str(path) for path in sent_files(own.folder, own.excludes)} == {"spec.yaml"}
    given = submission(spec, working_dir=spec.parent)
    (spec.parent / "studies").mkdir()
    (spec.parent / "studies" / "large").write_text("left out")
    (spec.parent / ".gitignore").write_text("*.csv\n")
    sent = {str(path) for path in sent_files(given.folder, given.excludes)}
    assert sent == {"spec.yaml", ".gitignore"}
    assert folder_faults(given) == []
    (spec.parent / ".rayignore").write_text("spec.yaml\n")
    (fault,) = folder_faults(given)
    assert "spec.yaml would not be sent: .gitignore or .rayignore leaves it out" in fault


def test_a_job_is_the_same_run_with_paths_that_mean_the_same_there(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMSTUDY_TRAIN__EPOCHS", "3")
    monkeypatch.setenv("SECRET", "stays here")
    job = submission(spec, cohort="s3://bucket/c", root="studies", name="n").job(2)
    assert job.id == "n-2"
    run = ["mmstudy", "run", "spec.yaml", "--cohort", "s3://bucket/c"]
    assert job.entrypoint == [*run, "--root", str(Path("studies").absolute()), "--name", "n"]
    assert job.runtime_env["env_vars"]["MMSTUDY_TRAIN__EPOCHS"] == "3"
    assert "stays here" not in job.command("http://h")
    assert job.command("http://h").endswith(" ".join(job.entrypoint))


def test_a_checkout_that_is_sent_runs_its_own_code(spec: Path) -> None:
    (spec.parent / "platform" / "mmstudy").mkdir(parents=True)
    job = submission(spec, working_dir=spec.parent).job(1)
    assert job.entrypoint[:3] == ["python", "-m", "mmstudy.cli.main"]
    assert job.runtime_env["env_vars"]["PYTHONPATH"].startswith("${RAY_RUNTIME_ENV_CREATE_WORKING")
    elsewhere = submission(spec, working_dir=spec.parent / "platform")
    with pytest.raises(UsageError, match="must lie in the folder sent"):
        elsewhere.job(1)
