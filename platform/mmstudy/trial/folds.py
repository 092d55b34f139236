"""From a protocol and a cohort to case names: who is set aside, who trains, who validates."""

from __future__ import annotations

from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Protocol, Split, assign
from mmstudy.errors import UsageError
from mmstudy.spec.study_spec import ProtocolSpec

__all__ = ["split_cohort"]


def split_cohort(spec: ProtocolSpec, patients: Cohort, *, seed: int | None = None) -> Split:
    """Split `patients`; with `seed` into other folds, the test set staying what it is.

    Raises:
        UsageError: the protocol does not fit the cohort.
    """
    rows = patients.patients
    try:
        protocol = Protocol(
            kind=spec.kind,
            folds=spec.folds,
            repeats=spec.repeats,
            fraction=spec.fraction,
            seed=spec.seed if seed is None else seed,
            test=(spec.test.fraction, spec.test.seed) if spec.test else None,
        )
        return assign(
            rows["case"].to_list(),
            rows["label"].to_list(),
            rows["group_id"].to_list(),
            protocol=protocol,
            patients=rows["patient_id"].to_list(),
        )
    except ValueError as error:
        raise UsageError(f"protocol: {error}") from error
