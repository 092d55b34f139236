"""A driver in a process of its own: `python chaos_driver.py SPEC COHORT ROOT`."""

from __future__ import annotations

import sys
from pathlib import Path

from cheap_trial import run_cheap

from mmstudy.engine import plan_study, run_study
from mmstudy.ray_runner import RayRunner
from mmstudy.specfile import load_spec


def main() -> None:
    spec, cohort, root = map(Path, sys.argv[1:])
    plan = plan_study(load_spec(spec), cohort=cohort, root=root, name="s")
    run_study(
        plan, RayRunner(), notify=lambda _: None, progress=lambda *_: None, objective=run_cheap
    )


if __name__ == "__main__":
    main()
