"""Pictures of every page, light and dark, wide and narrow, to be looked at by a human.

python tests/dashboards/pictures.py STUDIES STUDY OUT [--keep]
With --keep a few small ones go to dashboards/pictures/, which the README shows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser

sys.path.insert(0, str(Path(__file__).parents[1]))  # for support

from support.dashboard_server import browser, served, settled

PAGES = {
    "studies": "",
    "study": "",
    "trials": "chosen=2, 8",
    "parameters": "",
    "trial": "",
    "compare": "chosen=2, 8, 0",
    "cases": "",
    "confirm": "",
    "paper": "",
}
SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
KEPT = Path(__file__).parents[2] / "dashboards" / "pictures"
COLOURS = 64  # enough for charts and greys, a quarter of the size


def take(
    chromium: Browser, address: str, study: str, out: Path, names: Sequence[str] = tuple(PAGES)
) -> list[Path]:
    """One PNG of each page, theme and size; the whole page, however long."""
    taken = []
    for theme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme
            )
            page = context.new_page()
            for name in names:
                path_of = "" if name == "studies" else name
                page.goto(f"{address}/{path_of}?study={study}&{PAGES[name]}")
                page.get_by_test_id("stHeading").first.wait_for()
                settled(page)
                page.wait_for_timeout(900)  # charts are drawn a moment after the script
                path = out / f"{name}-{theme}-{size}.png"
                tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                page.set_viewport_size({"width": width, "height": min(tall, 4000)})
                page.wait_for_timeout(700)
                page.screenshot(path=path)
                page.set_viewport_size({"width": width, "height": height})
                taken.append(path)
            context.close()
    return taken


def shrink(source: Path, target: Path, most_px: int = 1000) -> None:
    """A copy with few colours, cut below `most_px`."""
    image = cv2.imread(str(source))[:most_px]
    pixels = image.reshape(-1, 3).astype(np.float32)
    some = pixels[np.random.default_rng(0).choice(len(pixels), 20_000)]
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    cv2.setRNGSeed(0)
    _, _, centres = cv2.kmeans(some, COLOURS, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    nearest = np.concatenate(
        [
            ((part[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
            for part in np.array_split(pixels, 40)
        ]
    )
    _write_palette(target, nearest.reshape(image.shape[:2]).astype(np.uint8), centres)


def _write_palette(path: Path, index: np.ndarray, centres: np.ndarray) -> None:
    """An indexed PNG; OpenCV writes none."""
    from PIL import Image

    picture = Image.fromarray(index, mode="P")
    picture.putpalette(np.rint(centres[:, ::-1]).astype(np.uint8).tobytes())
    picture.save(path, optimize=True)


def main() -> None:
    """Take them, and keep a few."""
    root, study, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    log = Path(tempfile.mkdtemp()) / "server.log"
    with served(root, log) as server, browser() as chromium:
        taken = take(chromium, server.address, study, out)
    sys.stdout.write("\n".join(map(str, taken)) + "\n" + log.read_text())
    if "--keep" in sys.argv:
        KEPT.mkdir(exist_ok=True)
        for path in taken:
            if path.stem.endswith("light-wide") or path.stem in ("study-dark-wide",):
                shrink(path, KEPT / f"{path.stem.removesuffix('-wide')}.png")


if __name__ == "__main__":
    main()
