"""A driver in a process of its own: `python -m support.chaos_driver SPEC COHORT ROOT`."""

from __future__ import annotations

import sys
from pathlib import Path

from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.on_ray import RayRunner
from mmstudy.spec.reading import load_spec
from support.cheap_trial import run_cheap


def main() -> None:
    spec, cohort, root = map(Path, sys.argv[1:])
    plan = plan_study(load_spec(spec), cohort=cohort, root=root, name="s")
    run_study(
        plan, RayRunner(), notify=lambda _: None, progress=lambda *_: None, objective=run_cheap
    )


if __name__ == "__main__":
    main()
