"""One attribute of one slice, of some, or of all slices of a patient, edited at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mmcaf.data.ingest import dicom
from mutations.bench import Bench
from mutations.elements import Elements, Value, tag_of, vr_of

__all__ = ["ATTRIBUTES", "HeaderEdit", "draw", "strike"]

_MEANING = [  # of stored values, and of the picture's place: drawn three times as often
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "HighBit",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ModalityLUTSequence",
    "PhotometricInterpretation",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SliceThickness",
    "SpacingBetweenSlices",
    "TransferSyntaxUID",
]
_OTHERS = [
    "AcquisitionDate",
    "GantryDetectorTilt",
    "MediaStorageSOPClassUID",
    "MediaStorageSOPInstanceUID",
    "Modality",
    "PatientName",
    "PatientPosition",
    "PixelAspectRatio",
    "PlanarConfiguration",
    "ReconstructionDiameter",
    "SeriesDescription",
    "SeriesNumber",
    "SliceLocation",
    "SmallestImagePixelValue",
    "StudyDate",
]
ATTRIBUTES = sorted({*_MEANING, *_OTHERS, *dicom._TAGS})
"""What is edited; what the reader asks a header for is among it."""

_ABSENT: dict[str, Value] = {  # what is edited where the tree has no such element
    "AcquisitionDate": ["19000101"],
    "AcquisitionTime": ["100000"],
    "ContentTime": ["100000"],
    "GantryDetectorTilt": ["0"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "NumberOfFrames": ["1"],
    "PixelAspectRatio": ["1", "1"],
    "PixelPaddingRangeLimit": [0],
    "PixelPaddingValue": [63536],
    "PlanarConfiguration": [0],
    "ReconstructionDiameter": ["360"],
    "RescaleType": ["HU"],
    "SliceLocation": ["0"],
    "SmallestImagePixelValue": [0],
    "SpacingBetweenSlices": ["5"],
}
_POOL: dict[str, list[Value | None]] = {  # values of this attribute that occur
    "BitsAllocated": [[8], [16], [32], [12]],
    "BitsStored": [[8], [10], [11], [12], [13], [14], [15], [16], [17]],
    "Columns": [[32], [63], [65], [128], [512]],
    "ContrastBolusAgent": [["NONE"], ["ULTRAVIST"]],
    "ConvolutionKernel": [["B70f"], ["B31f"], ["LUNG"], ["STANDARD"], ["Br40d", "3"]],
    "HighBit": [[7], [11], [15], [0]],
    "ImageOrientationPatient": [
        ["-1", "0", "0", "0", "1", "0"],
        ["1", "0", "0", "0", "-1", "0"],
        ["-1", "0", "0", "0", "-1", "0"],
        ["0", "1", "0", "0", "0", "-1"],
        ["1", "0", "0", "0", "0", "-1"],
        ["0", "1", "0", "-1", "0", "0"],
        ["1", "0", "0", "0", "0.9397", "-0.342"],
    ],
    "ImageType": [
        ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ["DERIVED", "SECONDARY", "AXIAL"],
        ["DERIVED", "SECONDARY", "MPR"],
        ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MIP"],
    ],
    "Modality": [["MR"], ["PT"], ["OT"]],
    "NumberOfFrames": [["1"], ["2"], ["0"]],
    "PatientAge": [["020Y"], ["090Y"], ["006M"]],
    "PatientID": [["somebody"], ["Lung_Dx-A9876"], ["A9001"], ["lung_dx-g9001"]],
    "PatientPosition": [["HFP"], ["FFS"], ["HFS"], ["HFDL"]],
    "PatientSex": [["F"], ["M"], ["O"]],
    "PhotometricInterpretation": [["MONOCHROME1"], ["MONOCHROME2"], ["RGB"], ["PALETTE COLOR"]],
    "PixelAspectRatio": [["1", "1"], ["2", "1"], ["10", "12"]],
    "PixelPaddingRangeLimit": [[0], [100], [1024], [2000], [65535]],
    "PixelPaddingValue": [[0], [63488], [63536], [32768], [24], [1064], [4095], [65535]],
    "PixelRepresentation": [[0], [1]],
    "ReconstructionDiameter": [["360"], ["500"], ["250"]],
    "RescaleIntercept": [["0"], ["-1024"], ["-1000"], ["-8192"], ["1024"], ["-1024.0"]],
    "RescaleSlope": [["1"], ["2"], ["0.5"], ["-1"], ["1.0"], ["0.0001"]],
    "RescaleType": [["HU"], ["US"], ["OD"], ["HU "], ["UNSPECIFIED"], ["HU_MOD"]],
    "Rows": [[32], [63], [65], [128], [512]],
    "SOPClassUID": [
        ["1.2.840.10008.5.1.4.1.1.2"],
        ["1.2.840.10008.5.1.4.1.1.2.1"],
        ["1.2.840.10008.5.1.4.1.1.4"],
        ["1.2.840.10008.5.1.4.1.1.7"],
    ],
    "SamplesPerPixel": [[1], [3], [0]],
    "SliceThickness": [["1"], ["10"], ["0.6"]],
    "TransferSyntaxUID": [
        ["1.2.840.10008.1.2"],
        ["1.2.840.10008.1.2.1"],
        ["1.2.840.10008.1.2.2"],
        ["1.2.840.10008.1.2.1.99"],
        ["1.2.840.10008.1.2.5"],
        ["1.2.840.10008.1.2.4.70"],
        ["1.2.840.10008.1.2.4.90"],
        ["1.2.3.4"],
    ],
}
_TEXTS: list[str] = ["abc", "N/A", "?", "12abc", "1,5", "1..5", "-", "0x10", "UNKNOWN", "\u00e9"]
_INFINITIES: list[str] = ["NaN", "inf", "-inf", "1e400", "-1e308"]
_HUGE: list[str | int] = ["1e9", "65535", "2147483648", "9" * 30, "-99999999", 65535, 32768]
_OFFSETS = ((0.01, 0.5, 1, 3, 10, 30), (50, 64, 100, 300, 1000, 1024, 4096))
_NUMBERS = ("DS", "IS", "US")

Kind = Callable[[Value, random.Random], Value | None]


@dataclass(frozen=True)
class HeaderEdit:
    """One edit, of the slices of a patient."""

    bench: Bench
    patient: str
    attribute: str
    kind: str
    scope: str  # one, some, all
    before: list[Value | None] = field(repr=False)
    after: list[Value | bytes | None] = field(repr=False)
    files: list[Path] = field(repr=False)

    def __str__(self) -> str:
        """Words for a person who is to do it again."""
        pairs = zip(self.before, self.after, strict=True)
        first = next(((b, a) for b, a in pairs if b != a), (self.before[0], self.after[0]))
        tree = f"{self.bench.spec.variant}{' flat' if self.bench.flat else ''}"
        told = "table" if isinstance(first[1], bytes) else first[1]
        return (
            f"{tree} {self.patient} {self.attribute} {self.kind}, {self.scope} "
            f"({len(self.files)} slices): {first[0]} -> {told}"
        )

    @property
    def changes_meaning(self) -> bool:
        """Whether the values of its slices cannot be taken for HU any more without a word."""
        if self.attribute == "ModalityLUTSequence":
            return True
        units = [after[0] for after in self.after if after and not isinstance(after, bytes)]
        return self.attribute == "RescaleType" and any(str(u).strip() != "HU" for u in units)

    def factors(self) -> list[float] | None:
        """New over old, of every part of every slice; None where one is no number."""
        return self._numbers(lambda old, new: new / old if old else float("nan"))

    def offsets(self) -> list[float] | None:
        """New less old, likewise."""
        return self._numbers(lambda old, new: new - old)

    def _numbers(self, what: Callable[[float, float], float]) -> list[float] | None:
        found = []
        for before, after in zip(self.before, self.after, strict=True):
            if not before or not after or isinstance(after, bytes) or len(before) != len(after):
                return None
            try:
                pairs = zip(before, after, strict=True)
                found += [what(float(old), float(new)) for old, new in pairs]
            except ValueError:
                return None
        return found


def draw(benches: list[Bench], chance: random.Random) -> HeaderEdit:
    """A random edit."""
    attribute = chance.choice([*ATTRIBUTES, *2 * _MEANING])
    bench = chance.choice(benches)
    patient = chance.choice(bench.patients)
    own = [stack for stack in bench.stacks if stack.patient == patient]
    scope = chance.choice(["one", "some", "all"])
    if scope == "all" and chance.random() < 0.5:  # of every series
        files = [path for stack in own for path in stack.files]
    else:
        files = _some([*chance.choice(own).files], scope, chance)
    kind, change = _kind(attribute, bench, patient, files, chance)
    elements = [Elements.read(path.read_bytes()) for path in files]
    before = [one.value(attribute) for one in elements]
    after = change(elements, [_base(value, attribute) for value in before])
    return HeaderEdit(bench, patient, attribute, kind, scope, before, after, files)


def strike(edit: HeaderEdit) -> dict[Path, bytes | None]:
    """The files as they are after an edit."""
    written: dict[Path, bytes | None] = {}
    for path, value in zip(edit.files, edit.after, strict=True):
        elements = Elements.read(path.read_bytes())
        elements.set(edit.attribute, value)
        written[path] = elements.written()
    return written


def _base(value: Value | None, attribute: str) -> Value:
    return value if value is not None else list(_ABSENT.get(attribute, ["1"]))


def _some(files: list[Path], scope: str, chance: random.Random) -> list[Path]:
    if scope == "all":
        return files
    if scope == "one":
        return [chance.choice(files)]
    count = chance.randint(2, len(files) - 1)
    if chance.random() < 0.5:  # neighbours
        begin = chance.randint(0, len(files) - count)
        return files[begin : begin + count]
    return sorted(chance.sample(files, count), key=files.index)


Changed = list[Value | bytes | None]
Change = Callable[[list[Elements], list[Value]], Changed]


def _kind(
    attribute: str, bench: Bench, patient: str, files: list[Path], chance: random.Random
) -> tuple[str, Change]:
    """What is done, by name."""
    if attribute == "ModalityLUTSequence":
        return _table(chance)
    kinds = ["delete", "empty", "text", "multi", "huge", "of a slice", "of a patient", "swap"]
    if vr_of(attribute) in _NUMBERS:
        kinds += ["zero", "negative", "doubled", "halved", "small offset", "large offset"]
        kinds += ["infinite", "noise"]
    if attribute in _POOL:
        kinds += 4 * ["other value"]
    kind = chance.choice(kinds)
    if kind in ("of a slice", "of a patient", "swap"):
        return kind, _borrowed(kind, attribute, bench, patient, files, chance)
    if kind == "other value":
        value = chance.choice(_POOL[attribute])
        return kind, lambda _, values: [value for _ in values]
    each = chance.random() < 0.3  # drawn anew for every slice
    seed = chance.random()

    def change(_: list[Elements], values: list[Value]) -> Changed:
        one = random.Random(seed)  # noqa: S311 - no secret
        return [
            _changed(value, kind, vr_of(attribute), one if each else random.Random(seed))  # noqa: S311
            for value in values
        ]

    return kind + (", each its own" if each else ""), change


def _changed(value: Value, kind: str, vr: str, chance: random.Random) -> Value | None:
    if kind == "delete":
        return None
    if kind == "empty":
        return []
    if kind == "multi":
        return value[:1] if len(value) > 1 else [*value, *(value or ["1"])]
    whole = chance.random() < 0.5
    which = range(len(value)) if whole else [chance.randrange(len(value))] if value else []
    changed = list(value)
    drawn = _Drawn(kind, vr, chance)
    for place in which:
        changed[place] = drawn.of(value[place])
    return changed


class _Drawn:
    """A change of one number or text, the same for all parts of a value."""

    def __init__(self, kind: str, vr: str, chance: random.Random) -> None:
        self.kind, self.vr = kind, vr
        self.text = chance.choice(_TEXTS)
        self.infinity = chance.choice(_INFINITIES)
        self.huge = chance.choice(_HUGE)
        small, large = (chance.choice(of) * chance.choice((-1, 1)) for of in _OFFSETS)
        self.offset = small if kind == "small offset" else large
        self.noise = chance.uniform(-1e-7, 1e-7)

    def of(self, part: str | int) -> str | int:
        if self.kind == "text":
            return self.text
        if self.kind == "infinite":
            return self.infinity
        if self.kind == "huge":
            return self.huge if self.vr in _NUMBERS else str(part) + "9" * 70
        return self._number(float(part))

    def _number(self, old: float) -> str | int:
        new = {
            "zero": 0.0,
            "negative": -old,
            "doubled": 2 * old,
            "halved": old / 2,
            "noise": old * (1 + self.noise) + self.noise,
        }.get(self.kind, old + self.offset)
        if self.vr == "US":
            return round(new)
        return f"{new:.0f}" if self.vr == "IS" else f"{new:.10g}"


def _borrowed(
    kind: str,
    attribute: str,
    bench: Bench,
    patient: str,
    files: list[Path],
    chance: random.Random,
) -> Change:
    """Values of another slice of the patient, or of another patient; or two slices exchanged."""
    own = [path for s in bench.stacks if s.patient == patient for path in s.files]
    foreign = [path for s in bench.stacks if s.patient != patient for path in s.files]
    lender = Elements.read(chance.choice(foreign if kind == "of a patient" else own).read_bytes())

    def change(_: list[Elements], values: list[Value]) -> Changed:
        if kind == "swap" and len(values) > 1:
            one, other = chance.sample(range(len(values)), 2)
            swapped = list(values)
            swapped[one], swapped[other] = values[other], values[one]
            return list(swapped)
        return [lender.value(attribute) for _ in values]

    return change


def _table(chance: random.Random) -> tuple[str, Change]:
    """A lookup table beside the rescaling, or in its place."""
    table = {
        "identity": list(range(4096)),
        "twice as steep": [(2 * k) % 2**16 for k in range(4096)],
        "to HU": [(k - 1024) % 2**16 for k in range(4096)],
        "cut short": list(range(16)),
        "empty": [],
    }
    name = chance.choice([*table])
    items: dict[str, Value] = {
        "LUTDescriptor": [len(table[name]), 0, 16],
        "ModalityLUTType": ["HU"],
        "LUTData": list(table[name]),
    }
    return f"table {name}", lambda elements, _: [one.sequence(items) for one in elements]


assert all(tag_of(name) for name in ATTRIBUTES)
