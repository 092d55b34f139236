"""From stacks, boxes and sheet to a row per patient: which stack, where the lesion, what doubts."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mmcaf.data.ingest.annotations import BOXES
from mmcaf.data.ingest.choose import Built, build
from mmcaf.data.ingest.clinical import CLINICAL_SHEET
from mmcaf.data.ingest.index import INSTANCES
from mmcaf.data.ingest.rules import CT_IMAGE, PET_IMAGE

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def series(uid: str, patient: str = "A0001", n: int = 12, **changes: Any) -> pl.DataFrame:
    columns: dict[str, Any] = dict.fromkeys(INSTANCES)
    columns |= {
        "source": 0,
        "kind": "image",
        "patient_id": patient,
        "series_uid": uid,
        "study_uid": f"{patient}.s",
        "frame_uid": f"{patient}.f",
        "sop_class": CT_IMAGE,
        "acquisition": 1,
        "rows": 100,
        "columns": 200,
        "spacing_y_mm": 0.5,
        "spacing_x_mm": 0.8,
        "slope": 1.0,
        "intercept": -1024.0,
        "kernel": "STANDARD",
        "vendor": "GE",
    }
    step = changes.pop("step", 2.0)
    columns |= {
        "instance": list(range(n)),
        "sop_uid": [f"{uid}.{i}" for i in range(n)],
        "orientation": [AXIAL] * n,
        "position_mm": [[0.0, 0.0, step * i] for i in range(n)],
    } | changes
    whole = {k: v if isinstance(v, list) else [v] * n for k, v in columns.items()}
    return pl.DataFrame(whole, schema=INSTANCES)


def boxes(*of: tuple[str, float, float, float, float]) -> pl.DataFrame:
    return pl.DataFrame(list(of), schema=BOXES, orient="row")


def sheet(*rows: dict[str, Any]) -> pl.DataFrame:
    filled = [
        dict.fromkeys(CLINICAL_SHEET) | {"sex": 1, "smoker": 0, "sheet_flags": []} | row
        for row in rows
    ]
    return pl.DataFrame(filled, schema=CLINICAL_SHEET)


def built(
    *parts: pl.DataFrame, on: pl.DataFrame | None = None, of: pl.DataFrame | None = None
) -> Built:
    return build(pl.concat(parts), boxes() if on is None else on, sheet() if of is None else of)


def chosen(*parts: pl.DataFrame, on: pl.DataFrame | None = None) -> str:
    return str(built(*parts, on=on).patients["series_uid"][0])


def test_the_label_is_the_class_of_the_task() -> None:
    found = built(series("1", "A0001"), series("2", "G0001"))
    assert found.patients.select("patient_id", "label", "class").rows() == [
        ("A0001", 0, "A"),
        ("G0001", 1, "G"),
    ]
    assert found.excluded.is_empty()


@pytest.mark.parametrize("patient", ["B0001", "E0001"])
def test_another_class_takes_no_part(patient: str) -> None:
    found = built(series("1"), series("2", patient))
    assert found.excluded.rows() == [(patient, "E_OTHER_CLASS")]
    assert set(found.reasons.values()) == {"E_OTHER_CLASS"}
    assert found.patients["patient_id"].to_list() == ["A0001"]


def test_who_has_no_usable_stack_is_left_to_the_files_codes() -> None:
    found = built(
        series("1"),
        series("2", "A0002", n=5),
        series("3", "A0003").with_columns(reason=pl.lit("E_LOCALIZER")),
    )
    assert found.patients["patient_id"].to_list() == ["A0001"]
    assert set(found.reasons.values()) == {"E_FEW_SLICES"}
    assert found.excluded.is_empty()


class TestPreference:
    def test_annotated_slices_come_first(self) -> None:
        marks = boxes(("a.3", 1, 1, 9, 9), ("b.3", 1, 1, 9, 9), ("b.4", 1, 1, 9, 9))
        assert chosen(series("a", n=20), series("b", kernel="BONE"), on=marks) == "b"

    def test_several_boxes_of_one_slice_are_one_annotated_slice(self) -> None:
        marks = boxes(("a.3", 1, 1, 9, 9), ("a.3", 20, 1, 29, 9), ("b.3", 1, 1, 9, 9))
        assert chosen(series("a"), series("b", n=13), on=marks) == "b"

    @pytest.mark.parametrize("sharp", ["LUNG", "bone", "B60f", "B70s", "B80f", "L", "EDGE"])
    def test_then_a_soft_kernel(self, sharp: str) -> None:
        assert chosen(series("a", kernel=sharp, step=1.0), series("b", kernel="B30f")) == "b"

    def test_an_unknown_kernel_is_not_sharp(self) -> None:
        assert chosen(series("a", kernel="LUNG", step=1.0), series("b", kernel=None)) == "b"

    def test_then_fine_spacing(self) -> None:
        assert chosen(series("a", step=5.0, n=20), series("b", step=1.25, n=80)) == "b"

    def test_then_many_slices(self) -> None:
        assert chosen(series("a", n=13), series("b", n=14)) == "b"

    def test_then_the_uid(self) -> None:
        assert chosen(series("b"), series("a")) == "a"

    def test_then_what_covers_the_chest(self) -> None:
        fragment = series("a", n=16, step=5.0)
        assert chosen(fragment, series("b", n=64, step=5.0, kernel="LUNG")) == "b"

    def test_a_choice_that_rests_on_an_unknown_kernel_is_told(self) -> None:
        parts = [series("a", kernel="new 7", step=1.0, n=20), series("b", kernel="LUNG", n=10)]
        assert "W_KERNEL" not in built(*parts).patients["qc_flags"][0]  # b is too short
        parts[1] = series("b", kernel="LUNG", step=1.0, n=21)
        assert "W_KERNEL" in built(*parts).patients["qc_flags"][0]

    def test_why_is_kept_beside_what(self) -> None:
        found = built(series("a", kernel="LUNG"), series("b"))
        places = [(of.candidate.series_uid, of.decided_by) for of in found.places["A0001"]]
        assert places == [("b", None), ("a", "kernel")]
        assert found.alternatives["A0001"][0].stack.series_uid == "a"

    def test_a_later_phase_of_one_series_is_the_venous_one(self) -> None:
        parts = [
            series("1", acquisition=number, sop_uid=[f"{number}.{i}" for i in range(12)])
            for number in (1, 2)
        ]
        found = built(*parts)
        row = found.patients.row(0, named=True)
        assert (row["acquisition"], row["phase"], row["n_phases"]) == (2, 1, 2)
        assert row["n_alternatives"] == 1
        assert [of.stack.phase for of in found.alternatives["A0001"]] == [0]


class TestLesion:
    def row(self, *of: tuple[str, float, float, float, float]) -> dict[str, Any]:
        return built(series("1"), on=boxes(*of)).patients.row(0, named=True)

    def test_one_box_in_shares_of_the_slice_and_millimetres(self) -> None:
        row = self.row(("1.4", 20, 10, 60, 30))
        assert (row["z_first_lesion"], row["z_last_lesion"], row["lesion_n_slices"]) == (4, 4, 1)
        assert (row["box_cx"], row["box_cy"]) == (0.2, 0.2)
        assert (row["box_w"], row["box_h"]) == (0.2, 0.2)
        assert row["max_diam_mm"] == pytest.approx((40 * 0.8 * 20 * 0.5) ** 0.5)
        assert row["lateral_mm"] == pytest.approx((100 - 40) * 0.8)
        assert "W_NO_BOX" not in row["qc_flags"]

    def test_side_and_diagonal_are_those_of_a_box_each(self) -> None:
        """A long narrow one has the longest side, a square one the longest diagonal."""
        row = self.row(("1.4", 10, 10, 105, 14), ("1.6", 10, 0, 95, 98))
        assert row["long_side_mm"] == pytest.approx(95 * 0.8)
        assert row["diagonal_mm"] == pytest.approx(((85 * 0.8) ** 2 + (98 * 0.5) ** 2) ** 0.5)
        assert row["max_diam_mm"] == pytest.approx((85 * 0.8 * 98 * 0.5) ** 0.5)

    def test_a_tall_box_s_side_is_its_height(self) -> None:
        row = self.row(("1.4", 20, 10, 24, 90))
        assert row["long_side_mm"] == pytest.approx(80 * 0.5)
        assert row["diagonal_mm"] == pytest.approx((3.2**2 + 40**2) ** 0.5)

    def test_boxes_are_joined_and_the_largest_gives_the_size(self) -> None:
        row = self.row(("1.2", 20, 10, 30, 20), ("1.3", 40, 20, 80, 60), ("1.7", 50, 30, 60, 40))
        assert (row["z_first_lesion"], row["z_last_lesion"]) == (2, 7)
        assert (row["lesion_n_slices"], row["lesion_n_components"]) == (3, 2)
        assert (row["box_cx"], row["box_w"]) == (0.25, 0.3)
        assert row["max_diam_mm"] == pytest.approx((40 * 0.8 * 40 * 0.5) ** 0.5)

    def test_a_box_over_the_edge_is_clipped_and_one_outside_is_none(self) -> None:
        row = self.row(("1.4", 180, 80, 250, 130), ("1.5", 210, 10, 250, 30))
        assert (row["box_w"], row["box_h"]) == (0.1, 0.2)
        assert row["lesion_n_slices"] == 1

    def test_a_box_at_the_corner_is_kept_to_its_last_pixel(self) -> None:
        row = self.row(("1.4", -3, 0, 40, 20))
        assert (row["box_cx"], row["box_cy"], row["box_w"], row["box_h"]) == (0.1, 0.1, 0.2, 0.2)

    def test_without_a_box_there_is_no_place(self) -> None:
        row = self.row()
        assert (row["z_first_lesion"], row["z_last_lesion"], row["lesion_n_slices"]) == (-1, -1, 0)
        assert [row[f"{name}_mm"] for name in ("max_diam", "long_side", "diagonal")] == [None] * 3
        assert "W_NO_BOX" in row["qc_flags"]


class TestClinical:
    def flags(self, images: dict[str, Any], *rows: dict[str, Any]) -> set[str]:
        found = built(series("1", spacing_y_mm=0.8, rows=200, **images), of=sheet(*rows)).patients
        return set(found["qc_flags"][0]) - {"W_NO_BOX"}

    def test_no_row_is_told_and_nothing_is_made_up(self) -> None:
        found = built(series("1"), of=sheet()).patients.row(0, named=True)
        assert "W_NO_CLINICAL_ROW" in found["qc_flags"]
        assert (found["sex"], found["smoker"]) == (-1, -1)
        assert (found["miss_row"], found["miss_age"], found["miss_weight"]) == (True, True, True)

    @pytest.mark.parametrize(
        ("images", "row", "told"),
        [
            ({"dicom_sex": 0}, {"sex": 1}, {"W_SEX"}),
            ({"dicom_sex": 1}, {"sex": 1}, set()),
            ({"dicom_sex": -1}, {"sex": 1}, set()),
            ({"dicom_sex": 0}, {"sex": -1}, set()),
            ({"dicom_age_years": 60.0}, {"age_years": 63.0}, {"W_AGE"}),
            ({"dicom_age_years": 60.0}, {"age_years": 62.0}, set()),
            ({"dicom_age_years": None}, {"age_years": 62.0}, set()),
            ({}, {"sheet_flags": ["W_CELL", "W_STAGE"]}, {"W_CELL", "W_STAGE"}),
        ],
    )
    def test_what_images_and_sheet_say_differently(
        self, images: dict[str, Any], row: dict[str, Any], told: set[str]
    ) -> None:
        assert self.flags(images, {"patient_id": "A0001"} | row) == told

    def test_the_sheet_s_value_stays(self) -> None:
        found = built(
            series("1", dicom_sex=0, dicom_age_years=40.0),
            of=sheet({"patient_id": "A0001", "sex": 1, "age_years": 70.0}),
        ).patients.row(0, named=True)
        assert (found["sex"], found["age_years"]) == (1, 70.0)
        assert {"dicom_sex", "dicom_age_years"} & found.keys() == set()


@pytest.mark.parametrize(("frame", "same"), [("A0001.f", True), ("other", False)])
def test_a_pet_series_is_noticed_with_its_frame(frame: str, same: bool) -> None:
    pet = series("9", sop_class=PET_IMAGE, frame_uid=frame, reason="E_SOP_CLASS")
    found = built(series("1"), pet, series("2", "A0002")).patients
    assert found["has_pet"].to_list() == [True, False]
    assert found["pet_same_frame"].to_list() == [same, False]


def test_numbers_from_9001_on_are_synthetic() -> None:
    found = built(series("1", "A9000"), series("2", "A9001"))
    assert found.patients["synthetic"].to_list() == [False, True]
