"""An ingested cohort is read whole and checked, or refused with the remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort, content_digest, file_digest, load
from mmcaf.errors import DataError


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
    with pytest.raises(DataError, match="cannot be read"):
        load(folder)


def test_a_lacking_table_is_told(folder: Path) -> None:
    (folder / "cohort.parquet").unlink()
    with pytest.raises(DataError, match="cannot be read"):
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
