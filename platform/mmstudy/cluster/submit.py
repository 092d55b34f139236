"""A study on somebody else's cluster: checked there, then sent, over Ray's job API.

Only the spec travels, unless a folder is given: patients' data must never be uploaded by accident.
The job is `mmstudy run` itself, so what it does, how it is stopped and how it goes on are the same
as here; a job's id is the study's name and which attempt it is.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mmcaf.errors import DataError
from mmcaf.files.atomic import SHARED_VARIABLE, is_shared
from mmcaf.files.names import name_fault
from mmcaf.files.untrusted import decode
from mmstudy.cluster.preflight import Answer, Wanted, judged, remarks, size_fault, version_faults
from mmstudy.cluster.ray_jobs import Head, Job, sent_files
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.provenance import CODE_VARIABLE, code_version, versions
from mmstudy.ray_env import GROWTH_VARIABLE, growth
from mmstudy.spec.study_spec import StudySpec

__all__ = ["Submission", "alive", "check", "folder_faults", "how_to_follow", "next_job"]

_MARKER = "MMSTUDY-PROBE "  # before what `mmstudy.cluster.probe` has found
_PROBE_SECONDS = 300.0
_GRACE_SECONDS = "600"  # for epochs to end after `ray job stop`; Ray's own 3 s would cut them off
# Beside what Ray leaves out by itself (.git, .venv, __pycache__).
_NEVER_SENT = ("/studies", "/cohorts", "/demo", "/test-results", "*.dcm", ".*_cache", "*.egg-info")
_NOTHING_SENT = "nothing was sent:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A study to be run on a cluster; paths are the cluster's, but for `spec_file`'s folder."""

    spec: StudySpec
    spec_file: Path
    cohort: str
    root: str
    name: str
    overrides: Sequence[str] = ()
    working_dir: Path | None = None  # sent whole; only the spec is unless given
    grows: str = ""  # what a cluster that buys nodes may have, as `CPU=64,GPU=8`

    @property
    def study(self) -> str:
        """The study's folder on the cluster; tells its jobs from others'."""
        return f"{self.root.rstrip('/')}/{self.name}"

    @property
    def folder(self) -> Path:
        """What is sent lies here."""
        return (self.working_dir or self.spec_file.parent).absolute()

    def wanted(self, *, any_version: bool = False) -> Wanted:
        """What the cluster must offer; `any_version` accepts other versions of packages."""
        return Wanted(
            root=self.root,
            cohort=self.cohort,
            resources=self.spec.resources,
            versions=versions(),
            any_version=any_version,
            growth=growth(self.grows),
        )

    @property
    def sends_code(self) -> bool:
        """Whether the folder is a checkout of this project, whose code then runs."""
        return (self.folder / "platform" / "mmstudy").is_dir() and self.working_dir is not None

    @property
    def excludes(self) -> list[str]:
        """Patterns, as in .gitignore, of what is not sent."""
        if self.working_dir is not None:
            return [*_NEVER_SENT]
        return ["*", "!/.", f"!/{self.spec_file.name}"]

    @property
    def arguments(self) -> list[str]:
        """Of `mmstudy run`, after the spec."""
        found = ["--cohort", self.cohort, "--root", self.root, "--name", self.name]
        return [*found, *(part for one in self.overrides for part in ("--set", one))]

    @property
    def settings(self) -> dict[str, str]:
        """Environment of the job: what overrides the spec, or shares files, and the growth."""
        found = {key: value for key, value in os.environ.items() if key.startswith("MMSTUDY_")}
        found |= {SHARED_VARIABLE: "1"} if is_shared() else {}
        return found | ({GROWTH_VARIABLE: self.grows} if self.grows else {})

    def job(self, attempt: int) -> Job:
        """The job that runs the study.

        Raises:
            UsageError: the spec lies outside the folder that is sent, or the name cannot be a
                folder's.
        """
        spec = self.spec_file.absolute()
        if fault := name_fault(self.name):
            raise UsageError(fault)
        if not spec.is_relative_to(self.folder):
            raise UsageError(f"The spec {spec} must lie in the folder sent, {self.folder}.")
        variables = {**self.settings, "RAY_JOB_STOP_WAIT_TIME_S": _GRACE_SECONDS}
        program = ["mmstudy"]
        if self.sends_code:
            there = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}"
            variables |= {"PYTHONPATH": f"{there}/platform:{there}", CODE_VARIABLE: code_version()}
            program = ["python", "-m", "mmstudy.cli.main"]
        return Job(
            entrypoint=[*program, "run", str(spec.relative_to(self.folder)), *self.arguments],
            id=f"{self.name}-{attempt}",
            runtime_env={
                "working_dir": str(self.folder),
                "excludes": self.excludes,
                "env_vars": variables,
            },
            metadata={"study": self.study},
        )


def check(address: str, submission: Submission, wanted: Wanted, say: Callable[[str], None]) -> Head:
    """The head, if the study can be sent to it; a job of one file's text has looked around there.

    Raises:
        UsageError: lists every fault found.
        MMStudyError: the cluster could not be looked at.
    """
    faults = folder_faults(submission)
    try:
        head = Head(address)
    except UsageError as error:
        raise UsageError(*faults, *error.faults, heading=_NOTHING_SENT.capitalize()) from error
    if not head.asks_for_token:
        say(
            f"{head.address} asks for no token: whoever reaches it runs what he likes there. "
            "RAY_AUTH_MODE=token on every node closes it (platform/deploy/README.md)."
        )
    other_ray = version_faults(wanted, head.ray_version)
    live = alive(head, submission.study)
    if live is not None:
        faults.append(
            f"{submission.study} is run by the job {live} already. {how_to_follow(head, live)}"
        )
    elif not other_ray:
        say("Looking at the cluster...")
        found = _look(head, submission, wanted)
        faults += judged(found, wanted)
        for remark in remarks(found, wanted):
            say(remark)
    faults += other_ray
    if faults:
        raise UsageError(*faults, heading=f"{head.address} cannot run this study, {_NOTHING_SENT}")
    return head


def alive(head: Head, study: str) -> str | None:
    """The id of the living job that runs the study, by its folder or by its name alone."""
    for job, lives, metadata in head.jobs():
        known = metadata.get("study")
        if lives and known is not None and study in (known, known.rpartition("/")[2]):
            return job
    return None


def how_to_follow(head: Head, job: str) -> str:
    """What a user types to see or stop a job later."""
    study = job.rpartition("-")[0]
    return (
        f"Follow it: ray job logs --follow --address {head.address} {job}. "
        f"Stop it: mmstudy stop {study} --address {head.address}."
    )


def next_job(head: Head, submission: Submission) -> Job:
    """The job of the first attempt whose number was never used on this cluster."""
    used = [0]
    for job, _, _ in head.jobs():
        name, _, attempt = job.rpartition("-")
        if name == submission.name and attempt.isdigit():
            used.append(int(attempt))
    return submission.job(max(used) + 1)


def folder_faults(submission: Submission) -> list[str]:
    """What is wrong with what would be sent."""
    folder, spec = submission.folder, submission.spec_file.absolute()
    sizes = sent_files(folder, submission.excludes)
    found = [] if (fault := size_fault(folder, sizes)) is None else [fault]
    if spec.relative_to(folder) not in sizes:
        found.append(f"The spec {spec} would not be sent: .gitignore or .rayignore leaves it out.")
    return found


def _look(head: Head, submission: Submission, wanted: Wanted) -> Mapping[str, Any]:
    question = {
        "marker": _MARKER,
        "root": wanted.root,
        "cohort": wanted.cohort,
        "cpu": wanted.resources.cpu,
        "gpu": wanted.resources.gpu,
        "spec": submission.spec_file.read_text(encoding="utf-8"),
        "spec_name": submission.spec_file.name,
        "arguments": submission.arguments,
        "rehearse": not submission.sends_code,
    }
    source = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    job = Job(
        entrypoint=["python", "-c", source, json.dumps(question)],
        id=f"{submission.name}-look-{uuid.uuid4().hex[:8]}",
        runtime_env={"env_vars": submission.settings},
        metadata={},
    )
    printed = head.output(job, seconds=_PROBE_SECONDS)
    for line in printed.splitlines():
        if line.startswith(_MARKER):
            return _answer(line.removeprefix(_MARKER))
    last = printed.strip().splitlines()[-1:] or ["it printed nothing"]
    raise MMStudyError(f"The cluster could not be looked at: {last[0]}")


def _answer(text: str) -> Mapping[str, Any]:
    try:
        found = decode(text, Answer, source="The cluster's answer", remedy="Is it really Ray's?")
    except DataError as error:
        raise MMStudyError(str(error)) from error
    answer: Mapping[str, Any] = msgspec.to_builtins(found)
    return answer
