"""What a hostile or damaged folder has done once, and the tests that it does so no more."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mmcaf.data.ingest.run import ingest
from mmstudy.storage.schema import TRIALS
from mmstudy.study import open_study
from support.house import ROOT
from support.made_study import made_study

Command = Callable[..., tuple[int, str, str]]

ATTACKS: dict[str, tuple[str, ...]] = {  # what was done: file::test, below tests/
    "1 an address in a received folder redirects everything": (
        "mmstudy/test_attacks.py::test_a_mark_deletes_no_other_study",
        "mmstudy/test_matrix.py::test_every_cell_holds",
        "mmstudy/storage/test_trust.py::test_a_mark_makes_no_folder_somebody_else_s",
        "mmstudy/storage/test_trust.py::test_no_cohort_is_fetched_from_where_a_study_says",
        "mmcaf/files/test_remote.py::test_a_mark_in_a_folder_from_somebody_else_means_nothing",
        "mmcaf/files/test_remote.py::test_a_mark_of_another_address_in_the_cache_means_nothing",
    ),
    "2 a pickle in the journal runs code": (
        "mmstudy/search/test_cmaes.py::test_a_pickle_wherever_a_journal_carries_text_runs_nothing",
        "mmcaf/files/test_checkpoint.py::test_a_pickle_is_refused_unread",
    ),
    "3 a lock that is a link empties a file of the user": (
        "mmstudy/storage/test_trust.py::test_a_lock_that_is_a_link_empties_nothing",
        "mmstudy/storage/test_trust.py::test_no_command_follows_it",
        "mmstudy/storage/test_trust.py::test_a_journal_that_is_a_link_is_not_written",
        "mmstudy/storage/test_trust.py::test_a_temporary_name_cannot_be_known_before",
        "mmstudy/storage/test_links.py::test_nothing_is_written_into_a_folder_behind_a_link",
        "mmstudy/storage/test_links.py::test_what_lies_behind_a_link_is_not_put_aside",
    ),
    "4 a lost or older journal replaces trials": (
        "mmstudy/driver/test_judgement.py::test_without_its_journal_a_study_goes_on_and_no_trial_changes",
        "mmstudy/driver/test_judgement.py::test_a_journal_older_by_any_number_of_steps_changes_no_trial",
        "mmstudy/driver/test_judgement.py::test_a_journal_cut_at_twenty_places_changes_no_trial",
        "mmstudy/search/test_rebuild.py::test_a_lost_journal_is_written_as_it_was_and_the_same_trials_come_next",
    ),
    "5 volumes of a local cohort are never checked": (
        "mmcaf/data/test_verification.py::test_a_changed_volume_is_told_with_its_case",
        "mmcaf/data/test_verification.py::test_every_kind_of_damage_is_told_and_many_are_counted",
        "mmstudy/driver/test_drive.py::test_nothing_runs_on_a_volume_that_changed",
        "mmcaf/data/test_cohort.py::test_a_field_that_ingestion_never_writes_is_named",
        "mmcaf/data/test_volumes.py::test_no_link_is_followed_and_no_fifo_waited_for",
    ),
    "6 one bad folder takes down a root": (
        "mmstudy/analysis/test_listing.py::test_a_broken_study_is_named_and_hides_no_other",
        "mmstudy/storage/test_trust.py::test_one_bad_study_does_not_hide_the_others",
        "mmstudy/storage/test_trust.py::test_a_manifest_cannot_name_what_it_likes",
        "mmstudy/test_attacks.py::test_nested_params_are_a_sentence",
        "dashboards/test_pages.py::test_a_broken_study_hides_no_other_on_any_page",
    ),
    "7 a file name that is no UTF-8 stops an ingestion": (
        "mmstudy/test_attacks.py::test_a_file_name_that_is_no_utf_8_stops_no_ingestion",
    ),
    "8 damaged state ends a run, or fails its trial": (
        "mmstudy/driver/test_judgement.py::test_a_damaged_table_is_put_aside_and_its_trials_come_out_again",
        "mmstudy/driver/test_judgement.py::test_a_damaged_piece_of_a_running_trial_never_fails_it",
        "mmstudy/driver/test_judgement.py::test_a_checkpoint_newer_than_the_metrics_is_not_gone_on_from",
    ),
    "9 text that leaves is a formula, or commands a terminal": (
        "mmstudy/cli/test_printed_rows.py::test_exported_tables_carry_it_and_hold_no_formula",
        "mmstudy/cli/test_printed_rows.py::test_a_terminal_is_told_nothing_by_what_a_study_is_called",
        "mmstudy/report/test_escape.py::test_no_text_is_a_formula",
        "mmstudy/report/test_table.py::test_no_format_commands_a_terminal",
    ),
    "10 study.json leads explanations out of the study": (
        "mmstudy/storage/test_trust.py::test_shared_stages_lie_beside_the_study_or_in_it",
        "mmstudy/storage/test_links.py::test_shared_stages_behind_a_link_are_not_used",
    ),
    "11 the server answers strangers": (
        "dashboards/test_server.py::test_every_answer_has_the_headers",
        "dashboards/test_server.py::test_another_name_is_answered_nothing",
        "dashboards/test_sign_in_walk.py::test_a_stranger_is_answered_nowhere",
        "dashboards/test_guard.py::test_with_a_sign_in_everything_asks_for_it",
    ),
    "12 depth, size, modes, and a server that lives on": (
        "mmstudy/spec/test_yaml12.py::test_a_bomb_is_a_sentence_at_once",
        "mmstudy/spec/test_spec_faults.py::test_a_huge_grid_is_refused_without_being_counted_out",
        "mmcaf/files/test_untrusted.py::test_what_is_wrong_is_a_sentence_with_file_field_and_remedy",
        "mmstudy/driver/test_drive.py::test_nobody_else_can_read_a_study",
        "mmcaf/data/ingest/test_writing.py::test_nobody_else_can_read_a_cohort",
        "mmstudy/test_serving.py::test_the_server_ends_with_the_command",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_has_tests(attack: str) -> None:
    for test in ATTACKS[attack]:
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
        there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in there, test


def test_all_twelve_are_there() -> None:
    assert [int(attack.split()[0]) for attack in ATTACKS] == [*range(1, 13)]


def test_a_mark_deletes_no_other_study(tmp_path: Path, command: Command) -> None:
    """The mark that says whose copy a folder is counts in this program's own cache alone."""
    mine, stranger = made_study(tmp_path, name="mine"), made_study(tmp_path, name="stranger")
    for address in (str(mine.folder.root), f"file://{mine.folder.root}"):
        (stranger.folder.root / ".address").write_text(address)
    assert command("rm", "stranger", "--yes", "--root", str(tmp_path))[0] == 0
    assert not stranger.folder.root.exists()
    assert mine.folder.trial(0).is_file()
    assert open_study(mine.folder.root).trials().equals(mine.trials())


@pytest.mark.parametrize(
    "params", ['{"train.lr": {"a": 1}}', f'{{"a": {10**30}}}', '{"a": [[[1]]]}', "[" * 100_000]
)
def test_nested_params_are_a_sentence(tmp_path: Path, params: str, command: Command) -> None:
    study = made_study(tmp_path)
    (row,) = study.folder.rows(study.folder.trial(0), TRIALS)
    study.folder.put_rows(study.folder.trial(0), TRIALS, [row | {"params": params}])
    code, _, told = command("export", str(study.folder.root), "--out", str(tmp_path / "out"))
    assert code == 1
    assert "The row of trial 0, column params," in told
    assert "is damaged: " in told


def test_a_file_name_that_is_no_utf_8_stops_no_ingestion(
    dicom_folder: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    slices = sorted(path for path in tree.rglob("*.dcm"))
    renamed = os.fsencode(slices[0].parent) + b"/\xb2\xa1\xc0\xfd-03.dcm"
    os.rename(os.fsencode(slices[0]), renamed)  # noqa: PTH104 - of bytes
    annotation = min(tree.rglob("*.xml"))
    os.rename(os.fsencode(annotation), os.fsencode(annotation.parent) + b"/\xff.xml")  # noqa: PTH104
    assert ingest([tree], tmp_path / "cohort", in_plane_px=48).patients.height == 12
    files = pl.read_parquet(tmp_path / "cohort" / "instances.parquet")
    named = files.filter(pl.col("path").str.contains(r"\x", literal=True)).sort("path")
    assert named["reason"].to_list() == [None, None]
    assert named["verdict"].drop_nulls().to_list() == ["E_XML_NAME"]
    assert named["use"].drop_nulls().len() == 1
