"""The whole chain on a fresh machine, through the same commands a user would type.

python -m mmstudy.cli.demo FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from mmcaf.files.home import home_path

__all__ = ["steps"]


def steps(folder: Path) -> list[list[str]]:
    """The commands, in order; a step whose result exists already is left out."""
    dicom, cohort, root = folder / "dicom", folder / "cohort", folder / "studies"
    synth = ["data", "synth", str(dicom), "--patients", "48", "--size", "96", "--seed", "1"]
    synth += ["--signal-image", "1"]
    ingest = ["data", "ingest", str(dicom), "--out", str(cohort), "--in-plane", "96"]
    run = ["run", "smoke", "--cohort", str(cohort), "--root", str(root), "--name", "demo"]
    compare = ["compare", "demo", "--root", str(root)]
    return [*([] if dicom.exists() else [synth]), ingest, run, compare]


def main() -> None:
    """Run the steps, then say how to look at the result."""
    folder = home_path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    started = time.monotonic()
    for arguments in steps(folder):
        sys.stderr.write(f"\n$ mmstudy {' '.join(arguments)}\n")
        command = [sys.executable, "-P", "-m", "mmstudy.cli.main", *arguments]
        if code := subprocess.run(command, check=False).returncode:  # noqa: S603 - our own
            sys.exit(code)
    sys.stderr.write(
        f"\nDone in {time.monotonic() - started:.0f} s. `make dashboard` opens the results, "
        f"or: mmstudy dashboard --root {folder / 'studies'}\n"
    )


if __name__ == "__main__":
    main()
