"""An ingested cohort is read whole and checked, or refused with the remedy."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort, content_digest, file_digest, load
from mmcaf.errors import CohortError, DataError


@pytest.fixture
def folder(cohort: Cohort, tmp_path: Path) -> Path:
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("cohort.json", "cohort.parquet"):
        shutil.copy(cohort.folder / name, copied / name)
    return copied


def change(folder: Path, **values: Any) -> None:
    state = json.loads((folder / "cohort.json").read_text())
    (folder / "cohort.json").write_text(json.dumps(state | values))


def replace_table(folder: Path, table: pl.DataFrame) -> None:
    table.write_parquet(folder / "cohort.parquet")
    change(folder, table_sha256=file_digest(folder / "cohort.parquet"))


def test_a_copied_folder_is_the_same_cohort(folder: Path, cohort: Cohort) -> None:
    found = load(folder)
    assert found.folder == folder
    assert found.digest == cohort.digest
    assert (found.synthetic, found.in_plane_px) == (True, 48)
    assert found.patients.equals(cohort.patients)


def test_no_cohort_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"data ingest SOURCE --out {tmp_path}"):
        load(tmp_path)


def test_another_version_is_told(folder: Path) -> None:
    change(folder, schema_version=1)
    with pytest.raises(DataError, match="has version 1, this program reads 2; ingest it again"):
        load(folder)


@pytest.mark.parametrize("name", ["cohort.json", "cohort.parquet"])
def test_a_half_copied_file_is_told(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CohortError, match=r"is damaged|is not the one it was ingested with"):
        load(folder)


def test_a_lacking_table_is_told(folder: Path) -> None:
    (folder / "cohort.parquet").unlink()
    with pytest.raises(CohortError, match=r"lacks cohort\.parquet"):
        load(folder)


def test_a_table_of_another_ingestion_is_refused(folder: Path, cohort: Cohort) -> None:
    changed = cohort.patients.with_columns(label=1 - pl.col("label"))
    changed.write_parquet(folder / "cohort.parquet")
    with pytest.raises(DataError, match="is not the one it was ingested with"):
        load(folder)


def test_nobody_is_no_cohort(folder: Path, cohort: Cohort) -> None:
    replace_table(folder, cohort.patients.clear())
    with pytest.raises(DataError, match="has no patients"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("in_plane_px", 10**9, r"`int` <= 1024 - at `\$.in_plane_px`"),
        ("in_plane_px", 15, r"`int` >= 16 - at `\$.in_plane_px`"),
        ("in_plane_px", "48", r"`int`, got `str` - at `\$.in_plane_px`"),
        ("digest", "../../x", r"at `\$.digest`"),
        ("table_sha256", None, r"at `\$.table_sha256`"),
        ("synthetic", 1, r"at `\$.synthetic`"),
        ("schema_version", "2", r"at `\$.schema_version`"),
    ],
)
def test_a_field_that_ingestion_never_writes_is_named(
    folder: Path, field: str, value: Any, told: str
) -> None:
    change(folder, **{field: value})
    with pytest.raises(
        CohortError, match=rf"cohort\.json is damaged: .*{told}.*[Ii]ngest it again"
    ):
        load(folder)


def test_a_lacking_field_is_named(folder: Path) -> None:
    state = json.loads((folder / "cohort.json").read_text())
    del state["digest"]
    (folder / "cohort.json").write_text(json.dumps(state))
    with pytest.raises(CohortError, match="missing required field `digest`"):
        load(folder)


def test_patients_cannot_be_declared_real(folder: Path) -> None:
    change(folder, synthetic=False)
    with pytest.raises(CohortError, match=r"says synthetic: false, which the rows .* contradict"):
        load(folder)


@pytest.mark.parametrize("name", ["cohort.json", "cohort.parquet"])
@pytest.mark.parametrize("kind", ["link", "FIFO", "folder"])
def test_a_file_of_another_kind_is_refused_at_once(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.rename(folder.parent / name)
    if kind == "link":
        path.symlink_to(folder.parent / name)
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(CohortError, match=f"{name} is a {kind}"):
        load(folder)


WRONG = {
    "label": (pl.lit(2), "allowed is 0 or 1"),
    "case": (pl.lit("../x"), "allowed is a plain file name"),
    "volume": (pl.lit("/etc/passwd"), "allowed is a plain file name"),
    "patient_id": (pl.lit(None, pl.String), "allowed is a name"),
    "n_slices": (pl.lit(0), "allowed is 1 to 10000"),
    "z_last_lesion": (pl.lit(99), "allowed is a slice"),
    "smoker": (pl.lit(7, pl.Int8), "allowed is -1 to 1"),
}


@pytest.mark.parametrize("column", WRONG)
def test_a_value_that_ingestion_never_writes_is_told(
    folder: Path, cohort: Cohort, column: str
) -> None:
    value, told = WRONG[column]
    first = pl.int_range(pl.len()) == 3
    changed = pl.when(first).then(value).otherwise(column).alias(column)
    replace_table(folder, cohort.patients.with_columns(changed))
    with pytest.raises(CohortError, match=rf"cohort\.parquet, column {column} has .*{told}"):
        load(folder)


@pytest.mark.parametrize("column", ["patient_id", "case", "volume"])
def test_a_name_stands_for_one_patient(folder: Path, cohort: Cohort, column: str) -> None:
    replace_table(folder, cohort.patients.with_columns(pl.col(column).first()))
    with pytest.raises(CohortError, match=f"column {column} has one value twice"):
        load(folder)


def test_columns_of_another_kind_are_told(folder: Path, cohort: Cohort) -> None:
    replace_table(folder, cohort.patients.with_columns(pl.col("label").cast(pl.String)))
    with pytest.raises(CohortError, match="column label holds String"):
        load(folder)
    replace_table(folder, cohort.patients.drop("label", "sex"))
    with pytest.raises(CohortError, match="lacks the columns label, sex"):
        load(folder)


def test_a_value_nobody_knows_of_any_patient_is_no_fault(folder: Path, cohort: Cohort) -> None:
    replace_table(folder, cohort.patients.with_columns(age_years=pl.lit(None)))
    assert load(folder).patients["age_years"].null_count() == 12


def test_more_rows_than_any_cohort_has_are_not_unpacked(folder: Path) -> None:
    replace_table(folder, pl.DataFrame({"label": pl.zeros(200_000, pl.Int64, eager=True)}))
    with pytest.raises(CohortError, match=r"200000 rows of 1 columns .* more than any cohort has"):
        load(folder)


class TestContentDigest:
    ROWS = pl.DataFrame(
        {"patient_id": ["A1", "A2"], "label": [0, 1], "case": ["x", "y"], "volume": ["v", "w"]}
    )
    VOLUMES = {"A1": "aa", "A2": "bb"}

    def test_it_depends_neither_on_names_nor_on_the_key(self) -> None:
        renamed = self.ROWS.with_columns(case=pl.lit("z"), volume=pl.lit("u"))
        turned = dict(reversed(self.VOLUMES.items()))
        assert content_digest(renamed, turned) == content_digest(self.ROWS, self.VOLUMES)

    def test_it_is_the_digest_that_cohorts_on_disk_were_given(self) -> None:
        """`study.json` names cohorts by it: another way to compute it would disown all studies."""
        assert content_digest(self.ROWS, self.VOLUMES) == "096e25f81ef8e5ae"

    def test_it_depends_on_every_value_and_every_volume(self) -> None:
        digests = {
            content_digest(self.ROWS, self.VOLUMES),
            content_digest(self.ROWS.with_columns(label=pl.lit(0)), self.VOLUMES),
            content_digest(self.ROWS.head(1), self.VOLUMES),
            content_digest(self.ROWS, self.VOLUMES | {"A2": "bc"}),
            content_digest(self.ROWS, {"A1": "bb", "A2": "aa"}),
        }
        assert len(digests) == 5


def test_a_file_s_digest_is_its_sha_256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert file_digest(tmp_path / "f").startswith("ba7816bf8f01cfea414140de5dae2223")
