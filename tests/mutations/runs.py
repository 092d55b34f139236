"""The three runs: an edit drawn from seed and number, done to a tree, and judged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmcaf.data.synthetic.write import SyntheticSpec
from mutations import annotations, cells, headers
from mutations.bench import Bench, Found
from mutations.endings import Ending, Endings, code_digest
from mutations.judge import judged, stopped, worst
from mutations.limits import limit_of, nameless
from support.true_tree import Tree

__all__ = ["RUNS", "run"]


def _chance(seed: int, kind: str, number: int) -> random.Random:
    return random.Random(f"{seed} {kind} {number}")  # noqa: S311 - no secret


@dataclass
class Headers:
    """Edits of headers, on trees of several encodings, phases and layouts."""

    folder: Path
    seed: int
    name: str = field(default="headers", init=False)

    @cached_property
    def benches(self) -> list[Bench]:
        def bench(name: str, flat: bool = False, **spec: object) -> Bench:
            of = SyntheticSpec(patients=4, size=64, slices=24, **spec)  # type: ignore[arg-type]
            return Bench(self.folder / name, of, flat)

        return [
            bench("plain", seed=7),
            bench("flat", flat=True, seed=8),
            bench("hu-trap", variant="hu-trap", seed=9),
            bench("multi-phase", variant="multi-phase", seed=10),
        ]

    def __call__(self, number: int) -> Ending:
        """Do one and judge every patient of its tree."""
        edit = headers.draw(self.benches, _chance(self.seed, self.name, number))
        with edit.bench.harmed(headers.strike(edit)) as found:
            words = edit.attribute, str(edit)
            if ended := stopped(found, number, *words, allowed=False):
                return ended
            outcome, note = worst(self._of_patients(edit.bench, found))
            if (outcome, note) == ("exact", "") and edit.changes_meaning and _used(edit, found):
                outcome, note = "SILENT", "stored values mean something else, and no code says so"
            if outcome == "SILENT" and nameless(edit, found.outcome):
                outcome, note = "cannot be known", "unreadable, in a folder of several patients"
        if outcome == "SILENT" and (limit := limit_of(edit)):
            outcome, note = "cannot be known", limit.what
        return Ending(number, *words, outcome, note)

    @staticmethod
    def _of_patients(bench: Bench, found: Found) -> list[tuple[str, str]]:
        endings = []
        for name in bench.patients:
            before = bench.clean.codes(f"Annotation/{name}/")
            of_boxes = found.outcome.codes(f"Annotation/{name}/") - before
            endings.append(judged(bench, found, name, of_boxes=of_boxes))
        return endings


def _used(edit: headers.HeaderEdit, found: Found) -> bool:
    """Whether a slice of an edit is in a chosen stack."""
    files = found.outcome.files
    chosen = {*files.filter(use="chosen")["path"]}
    return any(path.relative_to(edit.bench.tree).as_posix() in chosen for path in edit.files)


@dataclass
class Cells:
    """Edits of the clinical sheet."""

    folder: Path
    seed: int
    name: str = field(default="cells", init=False)

    @cached_property
    def bench(self) -> Bench:
        return Bench(self.folder, SyntheticSpec(patients=8, size=64, slices=12, seed=11))

    def __call__(self, number: int) -> Ending:
        """Do one and judge every patient."""
        edit = cells.draw(self.bench, _chance(self.seed, self.name, number))
        path = Tree(self.bench.tree).sheet
        files: dict[Path, bytes | None] = {path: edit.written()}
        if edit.other:
            files = {path: None, path.with_name(edit.other[0]): edit.other[1]}
        with self.bench.harmed(files) as found:
            words = edit.subject, edit.words
            if ended := stopped(found, number, *words, allowed=True):
                return ended
            ending = cells.clinical_ending(self.bench, found, edit.expected)
        return Ending(number, *words, *ending)


@dataclass
class Annotations:
    """Edits of annotation files."""

    folder: Path
    seed: int
    name: str = field(default="annotations", init=False)

    @cached_property
    def bench(self) -> Bench:
        return Bench(self.folder, SyntheticSpec(patients=6, size=64, slices=16, seed=12))

    def __call__(self, number: int) -> Ending:
        """Do one and judge every patient."""
        edit = annotations.draw(self.bench, _chance(self.seed, self.name, number))
        with self.bench.harmed(edit.files) as found:
            words = edit.subject, edit.words
            if ended := stopped(found, number, *words, allowed=False):
                return ended
            ending = annotations.lesion_ending(self.bench, edit, found)
        return Ending(number, *words, *ending)


RUNS: dict[str, Callable[[Path, int], Callable[[int], Ending]]] = {
    "headers": Headers,
    "cells": Cells,
    "annotations": Annotations,
}


def run(
    of: Callable[[int], Ending], name: str, seed: int, count: int, kept: Path | None = None
) -> Endings:
    """So many edits; those whose endings are kept in a folder already are not done again."""
    file = kept / f"{name}-{seed}-{code_digest()}.jsonl" if kept else None
    endings = Endings(f"{name} {seed}", file)
    endings.run(range(count), of)
    return endings
