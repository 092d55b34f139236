"""Annotation files, edited at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mutations.bench import Bench, Found
from mutations.truth import Box

__all__ = ["BoxEdit", "draw", "lesion_ending"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
Boxes = list[Box]


@dataclass
class BoxEdit:
    """One edit of an annotation file, and what a human reads in it.

    `boxes` are the right ones of the slices it touches; None: nobody can say, and a code must.
    `code` says that one is due although the boxes are right.
    """

    subject: str
    words: str
    patient: str
    files: dict[Path, bytes | None]
    boxes: dict[str, Boxes | None] = field(default_factory=dict)
    code: bool = False


@dataclass(frozen=True)
class _Victim:
    bench: Bench
    patient: str
    path: Path
    chance: random.Random

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def uid(self) -> str:
        return self.path.stem

    @property
    def box(self) -> Box:
        return self.bench.boxes[self.uid][0]

    def edit(
        self,
        subject: str,
        words: str,
        content: str | bytes,
        boxes: Boxes | None,
        code: bool = False,
    ) -> BoxEdit:
        """Other contents of the file."""
        written = content if isinstance(content, bytes) else content.encode()
        files: dict[Path, bytes | None] = {self.path: written}
        told = f"{self.patient}/…{self.uid[-6:]}.xml {words}"
        return BoxEdit(subject, told, self.patient, files, {self.uid: boxes}, code)

    def with_corner(self, name: str, value: str) -> str:
        """The file with another text in a corner."""
        old = dict(zip(_CORNERS, self.box, strict=True))[name]
        return self.text.replace(f"<{name}>{old:.0f}<", f"<{name}>{value}<")

    def moved(self, name: str, value: float) -> Box:
        """The box with another corner."""
        return tuple(  # type: ignore[return-value] # four of four
            value if name == own else old for own, old in zip(_CORNERS, self.box, strict=True)
        )


def draw(bench: Bench, chance: random.Random) -> BoxEdit:
    """A random edit of a file of a random patient."""
    patient = chance.choice(bench.patients)
    path = chance.choice(sorted((bench.tree / "Annotation" / patient).glob("*.xml")))
    kinds: list[Callable[[_Victim], BoxEdit]]
    kinds = [_number] * 5 + [_tag] * 3 + [_outside] * 3 + [_label, _encoding, _encoding, _name]
    kinds += [_name, _copy, _copy, _second, _damage, _size]
    return chance.choice(kinds)(_Victim(bench, patient, path, chance))


def _number(of: _Victim) -> BoxEdit:
    """A corner written in another way."""
    name = of.chance.choice(_CORNERS)
    old = dict(zip(_CORNERS, of.box, strict=True))[name]
    same = [
        f"{old:.1f}",
        f" {old:.0f} ",
        f"\n{old:.0f}\n",
        f"{old:.3e}",
        f"+{old:.0f}",
        f"0{old:.0f}",
    ]
    near = [f"{old:.0f}.25", f"{old:.0f},25"]
    odd = [
        "",
        "NaN",
        "inf",
        "abc",
        f"{old:.0f}px",
        "1e9",
        "0x1F",
        f"{old:.0f};3",
        "-",
        "1_0",
        "９x",
    ]
    drawn = of.chance.random()
    if drawn < 0.35:
        value, boxes = of.chance.choice(same), [of.box]
    elif drawn < 0.5:
        value = of.chance.choice(near)
        boxes = [of.moved(name, old + 0.25)]
    elif drawn < 0.6:
        value = f"{old + of.chance.choice((-1, 1)):.0f}"
        boxes = [of.moved(name, float(value))]
    else:
        value, boxes = of.chance.choice(odd), None
    return of.edit("number", f"{name} {old:.0f} -> {value!r}", of.with_corner(name, value), boxes)


def _tag(of: _Victim) -> BoxEdit:
    """Tags renamed, lost, doubled or in another order."""
    name = of.chance.choice(_CORNERS)
    old = dict(zip(_CORNERS, of.box, strict=True))[name]
    whole = f"<{name}>{old:.0f}</{name}>"
    kind = of.chance.choice(
        ["lost", "upper", "twice", "twice otherwise", "order", "no bndbox", "pair"]
    )
    boxes: Boxes | None = [of.box]
    if kind == "lost":
        text, boxes = of.text.replace(whole, ""), None
    elif kind == "upper":
        text, boxes = of.text.replace(whole, whole.upper()), [of.box]
    elif kind == "twice":
        text = of.text.replace(whole, whole * 2)
    elif kind == "twice otherwise":
        text, boxes = of.text.replace(whole, f"{whole}<{name}>{old + 5:.0f}</{name}>"), None
    elif kind == "order":
        text = of.text.replace(whole, "").replace("</bndbox>", f"{whole}</bndbox>")
    elif kind == "no bndbox":
        text, boxes = (
            of.text.replace("bndbox", of.chance.choice(["box", "BndBox", "bbox"])),
            [of.box],
        )
    else:
        text, boxes = (
            of.text.replace("xmin", "?").replace("xmax", "xmin").replace("?", "xmax"),
            None,
        )
    return of.edit(f"tag {kind}", f"{name} {kind}", text, boxes)


def _outside(of: _Victim) -> BoxEdit:
    """A box without area, turned round, or outside of the picture."""
    x0, y0, x1, y1 = of.box
    side = of.bench.spec.size
    box, code = of.chance.choice(
        [
            ((x1, y0, x0, y1), True),
            ((x0, y1, x1, y0), True),
            ((x0, y0, x0, y1), True),
            ((x0 + side, y0, x1 + side, y1), True),
            ((x0, y0 - 2 * side, x1, y1 - 2 * side), True),
            ((x0, y0, x1 + side, y1), True),
            ((x0 - 2 * side, y0, x1, y1), True),
            ((8 * x0, 8 * y0, 8 * x1, 8 * y1), True),
            ((0, 0, side, side), False),
            ((x0, y0, 1e4, y1), True),
        ]
    )
    content = of.text
    for name, value in zip(_CORNERS, box, strict=True):
        old = dict(zip(_CORNERS, of.box, strict=True))[name]
        content = content.replace(f"<{name}>{old:.0f}<", f"<{name}>{value:.0f}<")
    return of.edit("outside", f"{of.box} -> {box}", content, None if code else [box], code)


def _label(of: _Victim) -> BoxEdit:
    """The class's name: boxes do not depend on it."""
    label = of.chance.choice(["", "a", "G", "x", "lesion", "A1", "B", "\u0410"])
    text = of.text
    begin, end = text.index("<name>") + 6, text.index("</name>")
    return of.edit("label", f"label {label!r}", text[:begin] + label + text[end:], [of.box])


def _encoding(of: _Victim) -> BoxEdit:
    """The same text in other bytes; whoever cannot read them says so."""
    head, text = '<?xml version="1.0" encoding="{}"?>\n', of.text
    content, kind = of.chance.choice(
        [
            (text.encode("utf-8-sig"), "BOM"),
            ((head.format("utf-16") + text).encode("utf-16"), "UTF-16"),
            (
                (head.format("iso-8859-1") + text.replace("Unknow", "\u00e9")).encode("latin-1"),
                "latin-1",
            ),
            (
                (head.format("utf-8") + text.replace("Unknow", "\u00e9")).encode("latin-1"),
                "not what it says",
            ),
            ((head.format("gb2312") + text.replace("Unknow", "\u80ba")).encode("gb2312"), "GB2312"),
            ((head.format("windows-1252") + text).encode(), "windows-1252"),
            (text.replace("\n", "\r\n").encode(), "CRLF"),
            (("<!-- a -->" + text).encode(), "a remark"),
            (
                text.replace("<annotation", '<annotation xmlns="http://x.org/"').encode(),
                "a namespace",
            ),
            (text.encode("utf-16"), "UTF-16 without a head"),
        ]
    )
    return of.edit(f"encoding {kind}", kind, content, [of.box])


def _name(of: _Victim) -> BoxEdit:
    """The file under another name."""
    own = [s for s in of.bench.stacks if s.patient == of.patient and of.uid in s.sop_uids]
    free = [uid for uid in own[0].sop_uids if uid not in of.bench.boxes]
    uid = of.chance.choice(free)
    name, boxes = of.chance.choice(
        [
            (f"{uid}.xml", {of.uid: [], uid: [of.box]}),  # a human reads that slice, too
            (f"{of.uid}.XML", {of.uid: [of.box]}),
            (f"{of.uid} (1).xml", {of.uid: [of.box]}),
            (f"{of.uid}.1.xml", {of.uid: None}),
            (f" {of.uid}.xml", {of.uid: [of.box]}),
            (f"{of.uid[:-2]}.xml", {of.uid: None}),
            (f"{of.uid}.xml.bak", {of.uid: [of.box]}),
            (f"{of.uid}.txt", {of.uid: [of.box]}),
            ("0001.xml", {of.uid: None}),
        ]
    )
    files: dict[Path, bytes | None] = {of.path: None, of.path.with_name(name): of.text.encode()}
    words = f"{of.patient}/…{of.uid[-6:]}.xml named …{name[-12:]}"
    return BoxEdit("name", words, of.patient, files, dict(boxes))


def _copy(of: _Victim) -> BoxEdit:
    """A copy of the file in another folder, the same or of another box."""
    others = [name for name in of.bench.patients if name != of.patient]
    folder = of.chance.choice(
        [of.path.parents[1] / of.chance.choice(others), of.path.parent / "old"]
    )
    _, y0, x1, _ = of.box
    boxes: Boxes | None
    content, boxes, kind = of.chance.choice(
        [
            (of.text, [of.box], "same"),
            (of.with_corner("xmax", f"{x1 + 4:.0f}"), None, "another box"),
            (of.with_corner("ymin", f"{y0 - 3:.0f}"), None, "another box"),
            ("<annotation></annotation>", [of.box], "empty"),
        ]
    )
    edit = of.edit(f"copy {kind}", f"copy in {folder.name}", of.text, boxes)
    edit.files = {folder / of.path.name: content.encode()}
    return edit


def _second(of: _Victim) -> BoxEdit:
    """A second box in the file."""
    x0, y0, x1, y1 = of.box
    node = of.text[of.text.index("  <object>") : of.text.index("</annotation>")]
    moved = of.chance.choice([0, 0.04, 3])
    again = node.replace(f"<xmin>{x0:.0f}<", f"<xmin>{x0 - moved:g}<")
    boxes = [of.box, (x0 - moved, y0, x1, y1)]
    text = of.text.replace("</annotation>", f"{again}</annotation>")
    return of.edit("second box", f"one more, {moved} px beside", text, boxes)


def _damage(of: _Victim) -> BoxEdit:
    """A file cut short, with other bytes in it, hostile, or gone."""
    text = of.text
    at = of.chance.randrange(20, len(text))
    kind, content = of.chance.choice(
        [
            ("cut", text[:at]),
            ("empty", ""),
            ("zeros", text[:at] + "\0" * (len(text) - at)),
            ("doubled", text + text),
            ("entity", f'<!DOCTYPE a [<!ENTITY b "{"c" * 50}">]>{text.replace("Unknow", "&b;")}'),
            ("large", text + " " * 70_000),
            ("html", "<html><body>404</body></html>"),
        ]
    )
    boxes = None if len(content.strip()) < len(text.strip()) or kind != "large" else [of.box]
    return of.edit(f"damage {kind}", f"{kind} at {at}", content, boxes)


def _size(of: _Victim) -> BoxEdit:
    """The size of another picture: the box was drawn on something else."""
    side = of.bench.spec.size
    other = of.chance.choice([2 * side, 512, side // 2, 0])
    text = of.text.replace(f"<width>{side}<", f"<width>{other}<")
    text = text.replace(f"<height>{side}<", f"<height>{other}<")
    return of.edit("size", f"size {side} -> {other}", text, None if other else [of.box])


def lesion_ending(bench: Bench, edit: BoxEdit, found: Found) -> tuple[str, str]:
    """Outcome and note of all patients: boxes where a human reads them, or a code."""
    for name in bench.patients:
        if name not in found.outcome.patients:
            return "SILENT", f"{name} is left out"
        fault = bench.image_fault(found.outcome, name)
        if name != edit.patient:
            fault = fault or bench.lesion_fault(found.outcome, name)
        if fault:
            return "SILENT", f"{name}: {fault}"
    codes = _codes(bench, edit, found)
    if fault := _fault(bench, edit, found):
        return ("flagged", ", ".join(sorted(codes))) if codes else ("SILENT", fault)
    if edit.code and not codes:
        return "SILENT", "no code"
    return "exact", ", ".join(sorted(codes))


def _fault(bench: Bench, edit: BoxEdit, found: Found) -> str | None:
    """What is wrong of the boxes of the patient."""
    for uid, boxes in edit.boxes.items():
        if boxes is None:
            return "nobody can say where the box is, and no code says so"
        read = found.outcome.boxes(uid)
        if not _alike(read, boxes):
            return f"boxes {read}, a human reads {boxes}"
    now = bench.boxes | {uid: boxes or [] for uid, boxes in edit.boxes.items()}
    return bench.lesion_fault(found.outcome, edit.patient, now)


def _alike(some: Boxes, others: Boxes) -> bool:
    """Whether each box has its like among the others."""

    def near(one: Box, of: Boxes) -> bool:
        return any(np.allclose(one, other, atol=0.06, rtol=0) for other in of)

    return all(near(one, others) for one in some) and all(near(one, some) for one in others)


def _codes(bench: Bench, edit: BoxEdit, found: Found) -> set[str]:
    """Words of the patient, and codes of the files, that the unharmed tree does not have."""
    codes = bench.words(found.outcome, edit.patient)
    for path, content in edit.files.items():
        if content is not None:
            place = path.relative_to(bench.tree).as_posix()
            codes |= found.outcome.codes_at(place) - bench.clean.codes_at(place)
    own = f"Annotation/{edit.patient}/"
    return codes | found.outcome.codes(own) - bench.clean.codes(own)
