"""The data stage against the plain path: gzip HDF5, slice-wise resize, spline rotation; one run.

python tests/benchmarks/bench_data.py     or `make bench`

Everything in the page cache; CPU time of all threads, so other work on the machine does not count.
Each figure stands beside what is asked of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmcaf.config import DataConfig
from mmcaf.data.augment import centre_crop, cut, evaluation_starts, stream, training_window
from mmcaf.data.encoding import Intensity
from mmcaf.data.ingest.dicom import read_header
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.phantom import draw_phantom
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.data.volumes import resized

SLICES, SIDE = 64, 512
CONFIG = DataConfig()
DEPTH, WINDOW, _ = CONFIG.window
CASE = {"ln_diameter_mm": 3.9, "lateral_px": 80.0, "solidity": 0.5}
Hu = NDArray[np.int16]


def cpu_ms(action: Callable[[int], object], times: int) -> float:
    """Median CPU milliseconds of one call."""
    taken = []
    action(0)
    for number in range(times):
        begun = time.process_time()
        action(number)
        taken.append(1000 * (time.process_time() - begun))
    return float(np.median(taken))


def report(what: str, value: str, asked: str, good: bool) -> None:
    print(f"{what:<58} {value:>14}   {asked:<18} {'ok' if good else 'MISSED'}", flush=True)


def plain_window(path: Path, start: int, angle: float | None) -> NDArray[np.float32]:
    """As published: the file opened for every window, resized, rotated by splines."""
    with h5py.File(path, "r") as file:
        window = file["volume"][start : start + DEPTH]
    small = np.stack(
        [cv2.resize(p, (WINDOW, WINDOW), interpolation=cv2.INTER_AREA) for p in window]
    )
    if angle is not None:
        small = ndimage.rotate(small, angle, axes=(1, 2), reshape=False, cval=-1024)
    low, high = CONFIG.windows_hu[0]
    scaled: NDArray[np.float32] = np.clip((small - low) / (high - low), 0, 1).astype(np.float32)
    return scaled - np.float32(0.15897)


def windows(folder: Path) -> None:
    """Milliseconds per window, ours and plain."""
    volume, _ = draw_phantom(CASE, SIDE, SLICES, np.random.default_rng(0))
    plain, ours = folder / "plain.hdf5", folder / "ours.npy"
    with h5py.File(plain, "w") as file:
        file.create_dataset("volume", data=volume, compression="gzip", chunks=True)
    np.save(ours, resized(volume, CONFIG.in_plane_px))
    cached: Hu = np.load(ours, mmap_mode="r")
    intensity = Intensity.fit([cached], CONFIG.windows_hu)
    random = np.random.default_rng(1)
    starts = random.integers(0, SLICES - DEPTH, 64).tolist()
    tiles = evaluation_starts(SLICES, DEPTH, CONFIG.tile_stride)

    def train(number: int) -> object:
        lesion = (starts[number % 64], starts[number % 64] + DEPTH)
        window = training_window(cached, lesion, CONFIG, stream(0, number))
        return intensity.apply(window[None])

    def evaluate(number: int) -> object:
        window = centre_crop(cut(cached, tiles[number % len(tiles)], DEPTH), WINDOW)
        return intensity.apply(window[None])

    def plain_train(number: int) -> object:
        return plain_window(plain, starts[number % 64], float(random.uniform(-15, 15)))

    for what, our, their in (
        ("training window with augmentation", train, plain_train),
        ("evaluation window", evaluate, lambda n: plain_window(plain, starts[n % 64], None)),
    ):
        mine, theirs = cpu_ms(our, 200), cpu_ms(their, 30)
        report(f"{what}, ms", f"{mine:.2f}", "", good=True)
        report(f"{what}, plain path, ms", f"{theirs:.1f}", "", good=True)
        ratio = theirs / mine
        report(f"{what}, times faster", f"{ratio:.0f}", "at least 25", ratio >= 25)


def headers(tree: Path) -> None:
    """Milliseconds per header."""
    files = sorted(tree.rglob("*.dcm"))
    each = cpu_ms(lambda n: read_header(files[n % len(files)], files[n % len(files)].name), 1000)
    report("header of a file, ms", f"{each:.2f}", "at most 1.5", each <= 1.5)


def ingestion(tree: Path, folder: Path) -> None:
    """Milliseconds per slice of a whole ingestion, in this process."""
    count = len(list(tree.rglob("*.dcm")))
    begun = time.process_time()
    ingest([tree], folder / "cohort", in_plane_px=128, workers=1)
    each = 1000 * (time.process_time() - begun) / count
    report(f"ingestion of {count:,} slices, ms a slice", f"{each:.2f}", "at most 10", each <= 10)
    begun = time.process_time()
    ingest([tree], folder / "cohort", in_plane_px=128, workers=1)
    each = 1000 * (time.process_time() - begun) / count
    report("the same again, nothing to do, ms a slice", f"{each:.2f}", "", good=True)


PEAK = """
import sys
from pathlib import Path
from mmcaf.data.ingest.run import ingest
ingest([Path(sys.argv[1])], Path(sys.argv[2]), in_plane_px=48, workers=1)
# Of this program alone: what getrusage says may be the parent's, from before the exec.
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


def memory(folder: Path) -> None:
    """Peak memory of ingesting 1,000 and 10,000 slices; Linux tells it."""
    if not Path("/proc/self/status").exists():
        return
    peaks = []
    for patients in (40, 400):
        tree = folder / f"tree-{patients}"
        # A third of the patients has a second series: 25 slices come to about 1,000 and 10,000.
        write(tree, SyntheticSpec(patients=patients, size=48, slices=19, seed=1))
        count = len(list(tree.rglob("*.dcm")))
        command = [sys.executable, "-c", PEAK, str(tree), str(folder / f"out-{patients}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
        report(f"peak memory of {count:,} slices, MiB", str(peaks[-1]), "", good=True)
    grown = peaks[1] - peaks[0]
    report("grown by, MiB", str(grown), "at most 64", grown <= 64)


def main() -> None:
    """All of it, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        windows(folder)
        write(folder / "tree", SyntheticSpec(patients=30, size=128, slices=25, seed=1))
        headers(folder / "tree")
        ingestion(folder / "tree", folder)
        memory(folder)


if __name__ == "__main__":
    main()
