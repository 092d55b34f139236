"""Ray's job API, with its faults as sentences: a head, the jobs on it, their logs.

A head that does not answer is found out within seconds and before Ray's own client is asked, which
waits without limit.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mmcaf.errors import DataError
from mmcaf.files.untrusted import decode
from mmstudy import ray_env as rayenv
from mmstudy.errors import MMStudyError, UsageError

rayenv.prepare(joins=True)  # before Ray is imported, which is when it reads this

import aiohttp  # noqa: E402
from ray._private.runtime_env.packaging import _dir_travel, _get_excludes  # noqa: E402
from ray.job_submission import JobStatus, JobSubmissionClient  # noqa: E402

# They set their own level, and what they tell is told by us.
for _name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk"):
    logging.getLogger(f"ray.{_name}").setLevel(logging.ERROR)
for _name in ("packaging", "working_dir"):
    logging.getLogger(f"ray._private.runtime_env.{_name}").setLevel(logging.ERROR)

__all__ = ["Head", "Job", "Outcome", "sent_files"]

_MOST_ANSWER = 1 << 20  # bytes
_ANSWER_SECONDS = 5.0
_START_SECONDS = 60.0
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 2.0
_ALIVE = (JobStatus.PENDING, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is submitted; the same as arguments of `ray job submit`."""

    entrypoint: Sequence[str]
    id: str
    runtime_env: Mapping[str, Any]
    metadata: Mapping[str, str]

    def command(self, address: str) -> str:
        """The equivalent `ray job submit`."""
        parts = ["ray", "job", "submit", "--address", address, "--submission-id", self.id]
        parts += ["--runtime-env-json", json.dumps(self.runtime_env)]
        parts += ["--metadata-json", json.dumps(self.metadata)]
        return shlex.join([*parts, "--", *self.entrypoint])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    exit_code: int
    message: str  # of Ray, where the command could not even be started


class Head:
    """The head of a running cluster, reached by its dashboard's address.

    Raises:
        UsageError: nothing answers there, something else does, or it refuses the token.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        if "://" not in self.address:
            self.address = f"http://{self.address}"
        self.ray_version, self.asks_for_token = _ask_version(self.address)
        self._client = JobSubmissionClient(self.address)

    def submit(self, job: Job) -> None:
        """Upload what the job needs and put it in line.

        Raises:
            UsageError: the id was used in the meantime.
            MMStudyError: the head refuses the job.
        """
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(job.entrypoint),
                    submission_id=job.id,
                    runtime_env=dict(job.runtime_env),
                    metadata=dict(job.metadata),
                )
            except RuntimeError as error:
                if "No available agent" in str(error) and time.monotonic() < deadline:
                    time.sleep(_RETRY_SECONDS)  # a head that has just started
                    continue
                if "already" in str(error):
                    raise UsageError(
                        f"{job.id} was submitted by somebody else in this moment; submit again."
                    ) from error
                raise MMStudyError(f"The head refuses the job: {_last_line(error)}") from error
            return

    def jobs(self) -> list[tuple[str, bool, Mapping[str, str]]]:
        """Id, whether it is alive, and metadata of every submitted job the head remembers."""
        return [
            (job.submission_id, job.status in _ALIVE, job.metadata or {})
            for job in self._client.list_jobs()
            if job.submission_id
        ]

    def stop(self, job: str) -> bool:
        """Ask a job to end; False where it had ended."""
        return bool(self._client.stop_job(job))

    def output(self, job: Job, *, seconds: float) -> str:
        """Submit a small job, wait for its end, and forget it: what it printed.

        Raises:
            MMStudyError: it has not ended within `seconds`.
        """
        self.submit(job)
        deadline = time.monotonic() + seconds
        while self._client.get_job_status(job.id) in _ALIVE:
            if time.monotonic() > deadline:
                self._client.stop_job(job.id)
                raise MMStudyError(
                    f"A job that only looks around has not ended within {seconds:g} s: no worker "
                    "process starts on the head, or it is overloaded."
                )
            time.sleep(_POLL_SECONDS)
        printed = self._client.get_job_logs(job.id)
        self._client.delete_job(job.id)
        return str(printed)

    def follow(
        self, job: str, write: Callable[[str], None], say: Callable[[str], None], *, patience: float
    ) -> Outcome:
        """Write the job's log as it grows, until it ends; a lost connection is taken up again.

        Args:
            job: its id.
            write: takes pieces of the log, each once.
            say: told when the connection is lost.
            patience: seconds without an answer after which to give up.

        Raises:
            MMStudyError: gave up; the job may well go on.
        """
        shown, lost_since = 0, None
        while True:
            try:
                shown = asyncio.run(self._tail(job, shown, write))
                found = self._client.get_job_info(job)
                if found.status not in _ALIVE:
                    return _outcome(found)
                lost_since = None
            except _Lost as lost:
                shown = lost.shown
                if lost.answered or lost_since is None:
                    lost_since = None
                    say("The connection to the head is lost; trying again. The study goes on.")
                lost_since = lost_since or time.monotonic()
            except (OSError, RuntimeError):
                lost_since = lost_since or time.monotonic()
            if lost_since is not None and time.monotonic() - lost_since > patience:
                raise MMStudyError(f"The head has not answered for {patience:g} s.")
            time.sleep(_RETRY_SECONDS)

    async def _tail(self, job: str, shown: int, write: Callable[[str], None]) -> int:
        """Write what lies beyond the first `shown` characters; how many there are now."""
        position = 0
        try:
            pieces: AsyncIterator[str] = self._client.tail_job_logs(job)
            async for piece in pieces:
                if position + len(piece) > shown:
                    write(piece[max(0, shown - position) :])
                position += len(piece)
                shown = max(shown, position)
        except (OSError, RuntimeError, aiohttp.ClientError) as error:
            raise _Lost(shown, answered=position > 0) from error
        return shown


class _Lost(Exception):
    """The connection broke, or there was none, after so many characters in all."""

    def __init__(self, shown: int, *, answered: bool) -> None:
        self.shown, self.answered = shown, answered


def sent_files(folder: Path, excludes: Sequence[str]) -> dict[Path, int]:
    """Path within `folder` -> bytes, of every file that Ray would upload.

    Walked by Ray's own code, which also heeds .gitignore and .rayignore: any other walk would
    disagree with it some day.
    """
    sizes: dict[Path, int] = {}
    root = folder.absolute()

    def take(path: Path) -> None:
        if path.is_file():
            sizes[path.relative_to(root)] = path.stat().st_size

    _dir_travel(root, [_get_excludes(root, [*excludes])], take, include_gitignore=True)
    return sizes


def _ask_version(address: str) -> tuple[str, bool]:
    """The head's Ray version, and whether it wants a token."""
    try:
        return _get_version(address, None), False
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):
            raise _stranger(address) from error
    token = rayenv.token()
    if token is None:
        raise UsageError(
            f"The head at {address} asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN "
            "(or RAY_AUTH_TOKEN_PATH) to the cluster's."
        )
    try:
        return _get_version(address, token), True
    except urllib.error.HTTPError as error:
        raise UsageError(
            f"The head at {address} refuses the token in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or "
            "~/.ray/auth_token: it is another cluster's."
        ) from error


class _Version(msgspec.Struct):
    ray_version: str


def _get_version(address: str, token: str | None) -> str:
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"--address must be http://HEAD:8265 or https://…, got {address}.")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{address}/api/version", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
            text = answer.read(_MOST_ANSWER)
            return decode(text, _Version, source=address, remedy="Is it a Ray head?").ray_version
    except urllib.error.HTTPError:
        raise
    except (http.client.HTTPException, ConnectionResetError, DataError, ValueError) as error:
        raise _stranger(address) from error
    except OSError as error:
        raise UsageError(
            f"Nothing answers at {address} within {_ANSWER_SECONDS:g} s: is the head running, and "
            "its dashboard's port reached from here (`ssh -L 8265:127.0.0.1:8265 HEAD`)?"
        ) from error


def _stranger(address: str) -> UsageError:
    return UsageError(
        f"What answers at {address} is no Ray head: the address is that of its dashboard, "
        "usually port 8265."
    )


def _outcome(found: Any) -> Outcome:
    codes = {JobStatus.SUCCEEDED: 0, JobStatus.STOPPED: 130}
    if found.driver_exit_code is not None:
        return Outcome(int(found.driver_exit_code), "")
    code = codes.get(found.status, 1)
    return Outcome(code, (found.message or "") if code == 1 else "")


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
