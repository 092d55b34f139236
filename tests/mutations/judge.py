"""Whether what was read of a harmed tree is exact, or a word says that it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mutations.bench import Bench, Found
from mutations.endings import Ending
from mutations.truth import Box

__all__ = ["judged", "stopped", "worst"]


def judged(
    bench: Bench,
    found: Found,
    name: str,
    *,
    boxes: Mapping[str, list[Box]] | None = None,
    of_boxes: Iterable[str] = (),
) -> tuple[str, str]:
    """Outcome and note of one patient: volume, order, spacing, lesion and clinical values.

    Args:
        bench: what is true.
        found: what was read.
        name: the patient.
        boxes: those there are now, if not the ones that were drawn.
        of_boxes: codes that annotation files have got: words for a lesion in another place.
    """
    outcome = found.outcome
    if name not in outcome.patients:
        if name in outcome.excluded:
            return "named", outcome.excluded[name]
        return "SILENT", f"{name} is in no list"
    words = bench.words(outcome, name)
    image, lesion = bench.image_fault(outcome, name), bench.lesion_fault(outcome, name, boxes)
    wrong = [image, *bench.clinical_faults(outcome, name).values()]
    told = [fault for fault in wrong if fault]
    if lesion and not image and not of_boxes:
        told.append(lesion)
    if not told:
        return "exact", ", ".join(sorted(words))
    if words:
        return "flagged", ", ".join(sorted(words))
    return "SILENT", f"{name}: {'; '.join(told)}"


def worst(endings: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """What the tree ended in: of all its patients, the one that ended worst."""
    order = ("exact", "named", "flagged", "SILENT")
    return max(endings, key=lambda ending: (order.index(ending[0]), ending[1]))


def stopped(found: Found, number: int, subject: str, edit: str, allowed: bool) -> Ending | None:
    """The ending of a tree that nothing was read of."""
    if found.crashed:
        return Ending(number, subject, edit, "crash", found.crashed[:300])
    if found.stopped:
        outcome = "refused" if allowed else "stopped"
        return Ending(number, subject, edit, outcome, found.stopped[:300])
    return None
