"""What another study's complete trials tell this one, where they fit it exactly."""

from __future__ import annotations

from mmcaf.data.splits import Split
from mmstudy.errors import UsageError
from mmstudy.search.rebuild import Known
from mmstudy.search.scoring import outcome
from mmstudy.search.sources import proposable, refuse_seen
from mmstudy.spec.study_spec import StudySpec, trial_config
from mmstudy.storage.about import read_about
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.parquet import params_of
from mmstudy.storage.schema import State

__all__ = ["known_trials"]


def known_trials(
    spec: StudySpec, folder: StudyFolder, *, cohort_digest: str, split: Split
) -> list[Known]:
    """The complete trials of the study in `folder` that `spec` could have proposed.

    A value found on other patients or other folds is another quantity: such a study is refused. A
    trial that was built from another fixed setting, or lies outside the space, is left out.

    Raises:
        UsageError: the study was run on another cohort or other folds, or its search saw a test
            patient (`mmstudy.search.sources`).
    """
    folder.refresh()
    about = read_about(folder)
    refuse_seen("search.warm_start", about, split)
    if about.cohort_digest != cohort_digest or about.split != split:
        raise UsageError(
            f"search.warm_start: {folder.address} was run on another cohort or other folds, so "
            "its values cannot be compared. Its best params can be tried here, and where they come "
            "from recorded: `search.enqueue: {from: FOLDER, top: 3}`."
        )
    before, ledger = about.spec, FolderLedger(folder)
    found = []
    for row in ledger.trials():
        if row.state is not State.COMPLETE or row.value is None:
            continue
        config = trial_config(before, params_of(row.params, row.number))
        params = proposable(spec, config)
        if params is None or trial_config(spec, params) != config:
            continue
        epochs = ledger.epochs(row.number)
        values = [outcome(objective, row.value, epochs) for objective in spec.search.objectives]
        kept = tuple(value for value in values if value is not None)
        if len(kept) == len(values):
            found.append(Known(f"{folder.name} trial {row.number}", params, kept))
    return found
