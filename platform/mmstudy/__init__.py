"""Hyperparameter studies of MMCAF-Net: run them, read them, draw them.

    import mmstudy

    study = mmstudy.open_study("demo/studies/demo")   # a folder, or s3://bucket/studies/demo
    study.trials()                                    # a Polars table; .to_pandas() if you like
    mmstudy.plots.roc(study).save("roc.pdf")          # the ROC curve of the best trial
    mmstudy.compare(study).summary                    # what may be said beside the paper's rows
    mmstudy.write_report(study, "demo.html")           # all of it as one page, to be signed
    spec = mmstudy.load_spec("smoke", ["search.trials=3"])
    plan = mmstudy.plan_study(spec, cohort="demo/cohort", root="studies", name="mine")
    mmstudy.run_study(plan, mmstudy.InlineRunner())   # or RayRunner(); goes on where it stopped

A name is loaded when it is first used: only what makes trials loads PyTorch, Ray and Optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmstudy import errors, plots
    from mmstudy.benchmark.read import read_benchmark
    from mmstudy.comparison.comparison import compare
    from mmstudy.driver.drive import plan_study, run_study
    from mmstudy.driver.inline import InlineRunner
    from mmstudy.driver.on_ray import RayRunner
    from mmstudy.followup.confirm import confirm
    from mmstudy.followup.evaluate import evaluate
    from mmstudy.followup.predict import predict
    from mmstudy.report.study.write import write_report
    from mmstudy.search.importance import importance
    from mmstudy.spec.reading import load_spec
    from mmstudy.study import Study, list_studies, open_study

    __version__: str

__all__ = [
    "InlineRunner",
    "RayRunner",
    "Study",
    "__version__",
    "compare",
    "confirm",
    "errors",
    "evaluate",
    "importance",
    "list_studies",
    "load_spec",
    "open_study",
    "plan_study",
    "plots",
    "predict",
    "read_benchmark",
    "run_study",
    "write_report",
]

# A name is that of a module below, or of nothing below: loading a module binds its name here.
_HOMES = {
    "InlineRunner": "driver.inline",
    "RayRunner": "driver.on_ray",
    "Study": "study",
    "compare": "comparison.comparison",
    "confirm": "followup.confirm",
    "evaluate": "followup.evaluate",
    "importance": "search.importance",
    "list_studies": "study",
    "load_spec": "spec.reading",
    "open_study": "study",
    "plan_study": "driver.drive",
    "predict": "followup.predict",
    "read_benchmark": "benchmark.read",
    "run_study": "driver.drive",
    "write_report": "report.study.write",
}
_MODULES = ("errors", "plots")


def _loaded(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        from mmstudy.provenance import package_version

        found: Any = package_version()
    elif name in _HOMES:
        found = getattr(_home(name), name)
    else:
        raise AttributeError(f"Module {__name__!r} has no attribute {name!r}.{_hint(name)}")
    globals()[name] = found
    return found


def _home(name: str) -> Any:
    """The module that defines a name.

    Raises:
        ModuleNotFoundError: it needs what only the extra `run` installs.
    """
    try:
        return import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        from mmstudy.provenance import INSTALL_RUN, RUN_IMPORTS

        absent = (error.name or "").partition(".")[0]
        if absent not in RUN_IMPORTS:
            raise
        raise ModuleNotFoundError(
            f"`{__name__}.{name}` needs {absent}, which an install that only reads results leaves "
            f"out: {INSTALL_RUN}.",
            name=absent,
        ) from error


def _hint(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" It has {', '.join(__all__)}."


if not TYPE_CHECKING:  # to a type checker every name would exist
    __getattr__ = _loaded


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
