"""What a trial's process uses of a machine."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import json
from mmstudy.trial.threads import pin_threads
import os, pyarrow, cv2, torch
pin_threads(3)
found = [torch.get_num_threads(), cv2.getNumThreads(), pyarrow.cpu_count()]
print(json.dumps([*found, int(os.environ["OMP_NUM_THREADS"])]))
"""


def test_no_library_takes_more_cores_than_the_trial_was_given() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [3, 3, 3, 3]
