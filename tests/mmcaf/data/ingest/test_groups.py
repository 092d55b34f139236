"""Who must stay on one side of every split: beside an independent connected-components."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mmcaf.data.ingest.groups import group_ids

Digests = dict[str, list[str | None]]
patients = st.dictionaries(
    st.sampled_from([f"A{n:04}" for n in range(12)]),
    st.lists(st.sampled_from([*"abcdefgh", None]), max_size=4),
    max_size=12,
)


def components(digests: Digests) -> set[frozenset[str]]:
    """By scipy, over patients and slices as one graph."""
    names, slices = sorted(digests), list("abcdefgh")
    pairs = [
        (names.index(who), len(names) + slices.index(of))
        for who, own in digests.items()
        for of in own
        if of is not None
    ]
    size = len(names) + len(slices)
    rows, columns = [p[0] for p in pairs], [p[1] for p in pairs]
    graph = coo_matrix(([1] * len(pairs), (rows, columns)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    return {
        frozenset(name for at, name in enumerate(names) if label[at] == one)
        for one in set(label[: len(names)])
    }


@given(patients)
def test_groups_are_the_connected_components(digests: Digests) -> None:
    found = group_ids(digests)
    groups: dict[str, set[str]] = {}
    for patient, group in found.items():
        groups.setdefault(group, set()).add(patient)
    assert {frozenset(members) for members in groups.values()} == components(digests)
    assert all(group == min(members) for group, members in groups.items())


@given(patients, st.randoms())
def test_the_order_of_patients_and_slices_does_not_matter(digests: Digests, random: object) -> None:
    turned = {name: digests[name][::-1] for name in reversed(list(digests))}
    assert group_ids(turned) == group_ids(digests)


def test_a_chain_is_one_group_although_its_ends_share_nothing() -> None:
    chain: Digests = {f"A{n}": [str(n), str(n + 1)] for n in range(9)}
    assert set(group_ids(chain).values()) == {"A0"}


def test_grey_slices_without_a_digest_join_nobody() -> None:
    assert group_ids({"A1": [None], "A2": [None]}) == {"A1": "A1", "A2": "A2"}
