"""Which patients must stay on one side of every split: those who share a slice, bit for bit.

In the collection one person may go by two ids; annotations cross-label some. A group is a connected
component, named by its first patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["group_ids"]


def group_ids(digests: Mapping[str, Iterable[str | None]]) -> dict[str, str]:
    """Patient -> group, from the digests of every patient's slices (None says nothing).

    >>> group_ids({"A1": ["x"], "A2": ["y", "x"], "A3": ["z", None], "A4": [None]})
    {'A1': 'A1', 'A2': 'A1', 'A3': 'A3', 'A4': 'A4'}
    """
    parent = {patient: patient for patient in digests}

    def root(patient: str) -> str:
        while parent[patient] != patient:
            patient = parent[patient]
        return patient

    owner: dict[str, str] = {}
    for patient in sorted(digests):
        for digest in digests[patient]:
            if digest is not None:
                one, other = sorted((root(patient), root(owner.setdefault(digest, patient))))
                parent[other] = one
    return {patient: root(patient) for patient in digests}
