"""First paint of ``clipfeat app``, thumbnails, and scrolling, with many images.

``python benchmarks/browsing.py [--images 100000] [--width 1280] [--rounds 5]``

The images are JPEG files of 64x64 pixels with random colours. Their features are random numbers.
``clipfeat app`` opens them in its own process, and headless Chromium opens the page. The script
needs `playwright` and Chromium.

- Start: seconds from the command to the printed address.
- First paint: the browser's ``first-contentful-paint`` of each new page.
- Grid: seconds from the start of the navigation until the first cells of the grid exist.
- Thumbnails: until all images in view are loaded. The first round fills the cache.
- Jump: seconds from a scroll to the middle of the grid until all images in view are loaded.
"""

import argparse
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from clipfeat.spec import EncoderSpec
from clipfeat.store import FeatureWriter, Row

LOADED = """() => {
  const box = document.getElementById('grid').getBoundingClientRect();
  const images = [...document.querySelectorAll('#grid img')].filter(image => {
    const place = image.getBoundingClientRect();
    return place.bottom > box.top && place.top < Math.min(box.bottom, innerHeight);
  });
  return images.length > 5 && images.every(image => image.complete && image.naturalWidth);
}"""


def make_images(folder: Path, n: int, width: int) -> Path:
    """Write `n` images and a feature file of two classes. Return its path."""
    rng = np.random.default_rng(0)
    spec = EncoderSpec(
        "synthetic", "", False, "last", "{}", (224, 224), "none", 1.0, "center", (0.0,), (1.0,),
        width, "fp32", "rgb8-1",
    )  # fmt: skip
    (folder / "images").mkdir()
    path = folder / "out.h5"
    with FeatureWriter(path, spec, root=str(folder / "images")) as writer:
        for start in range(0, n, 1000):
            numbers = range(start, min(start + 1000, n))
            for number in numbers:
                colours = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                image = Image.fromarray(colours).resize((64, 64), Image.Resampling.BICUBIC)
                image.save(folder / "images" / f"{number:06d}.jpg")
            rows = [Row(f"{i:06d}.jpg", i.to_bytes(16), ("real", "fake")[i % 2]) for i in numbers]
            features = rng.standard_normal((len(rows), width), dtype=np.float32)
            writer.append(rows, features)
        writer.finish()
    return path


def start(path: Path, cache: Path) -> tuple[subprocess.Popen[str], str, float]:
    """Start ``clipfeat app``. Return the process, its address and the seconds."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "clipfeat", "app", str(path), "--port", "0"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if address := re.search(r"http://\S+", line):
            return process, address[0].rstrip("."), time.perf_counter() - begun
    raise SystemExit("clipfeat app did not start")


def visit(page: Page, address: str) -> tuple[float, float, float, float]:
    """Return the seconds of first paint, grid, thumbnails and jump."""
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("#grid img", timeout=120_000)
    grid = time.perf_counter() - begun
    page.wait_for_function(LOADED, timeout=120_000)
    thumbnails = time.perf_counter() - begun
    paint = page.evaluate(
        "() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
    )
    begun = time.perf_counter()
    page.evaluate("() => { const g = document.getElementById('grid'); g.scrollTop += 1e5; }")
    page.wait_for_timeout(100)
    page.wait_for_function(LOADED, timeout=120_000)
    return paint, grid, thumbnails, time.perf_counter() - begun


def main() -> None:
    """Print a line for each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        path = make_images(folder, arguments.images, arguments.width)
        process, address, seconds = start(path, folder / "cache")
        print(f"{arguments.images:,} images: started in {seconds:.1f} s")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            for number in range(arguments.rounds):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                paint, grid, thumbnails, jump = visit(page, address)
                print(
                    f"round {number + 1}: first paint {paint:.2f} s, grid {grid:.2f} s, "
                    f"thumbnails {thumbnails:.2f} s, jump {jump:.2f} s",
                    flush=True,
                )
                page.close()
        finally:
            browser.close()
            process.send_signal(signal.SIGTERM)
            process.wait(60)


if __name__ == "__main__":
    main()
