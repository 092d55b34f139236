"""What another study's complete trials tell this one, where they fit it exactly."""

from __future__ import annotations

from mmcaf.data.splits import Split
from mmstudy.errors import UsageError
from mmstudy.search.rebuild import Known
from mmstudy.search.scoring import outcome
from mmstudy.spec.sections import TrialConfig, network_name
from mmstudy.spec.space import in_order, is_active
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
        UsageError: the study was run on another cohort or other folds.
    """
    folder.refresh()
    about = read_about(folder)
    if about.cohort_digest != cohort_digest or about.split != split:
        raise UsageError(
            f"search.warm_start: {folder.address} was run on another cohort or other folds, so "
            "its values cannot be compared; enqueue its best params instead (search.enqueue)."
        )
    before, ledger = about.spec, FolderLedger(folder)
    found = []
    for row in ledger.trials():
        if row.state is not State.COMPLETE or row.value is None:
            continue
        config = trial_config(before, params_of(row.params, row.number))
        params = _as_params(spec, config)
        if params is None or trial_config(spec, params) != config:
            continue
        epochs = ledger.epochs(row.number)
        values = [outcome(objective, row.value, epochs) for objective in spec.search.objectives]
        kept = tuple(value for value in values if value is not None)
        if len(kept) == len(values):
            found.append(Known(f"{folder.name} trial {row.number}", params, kept))
    return found


def _as_params(spec: StudySpec, config: TrialConfig) -> dict[str, object] | None:
    """The params with which `spec` would give `config`; None where its space has none such."""
    params: dict[str, object] = {}
    if network_name(spec.model) != config.model.name:
        return None
    for path, dimension in in_order(spec.space):
        if is_active(dimension, params):
            value = config.setting(path)
            value = [*value] if isinstance(value, tuple) else value
            if not dimension.contains(value):
                return None
            params[path] = value
    return params
