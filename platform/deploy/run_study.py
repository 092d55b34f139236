"""`mmstudy` as a script, for `ray submit`, which runs a Python file on the head:

    ray submit cluster-local.yaml run_study.py run SPEC --cohort COHORT --root /shared/studies

Outside of jobs RAY_ADDRESS is not set on a head; "auto" is the cluster that was started there.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    from mmstudy.cli.main.main import main

    main()
