"""Tests of the exported page in Chromium. They are skipped if it is not installed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import clipfeat
from clipfeat.errors import OutputExistsError, UsageError
from clipfeat.exporting import checking
from clipfeat.exporting.site import export_site
from clipfeat.model import Model
from tests.exporting.conftest import pictures
from tests.report.page.test_in_browser import CHROMIUM, QUIET

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

for name in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(name)

WAIT = 120_000
"""Milliseconds that a busy machine may take to start the model."""


@pytest.fixture(scope="module")
def site(lite_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "N_IMAGES", 8)
        export_site(lite_model, folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write ten files that browsers and Pillow might decode differently."""
    folder = tmp_path_factory.mktemp("images")
    large, *rest = [Image.fromarray(one) for one in pictures(10, seed=3)]
    large.resize((701, 433)).save(folder / "large.jpg", quality=85)
    exif = Image.Exif()
    exif[0x0112] = 6
    rest[0].crop((0, 0, 20, 17)).save(folder / "turned.jpg", quality=95, exif=exif)
    rest[1].convert("L").save(folder / "grey.jpg")
    rest[2].convert("P").save(folder / "palette.gif")
    rest[3].save(folder / "lossless.webp", lossless=True)
    faded = rest[4].convert("RGBA")
    faded.putalpha(Image.linear_gradient("L").resize(faded.size).point(lambda a: 255 * (a > 99)))
    faded.save(folder / "faded.png")
    for number, image in enumerate(rest[5:]):
        image.save(folder / f"{number} & <b>.png")
    assert len(list(folder.iterdir())) == 10
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Suppress the server's log."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    if not CHROMIUM:
        pytest.skip("no Chromium installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser: "Browser", site: Path) -> Iterator["Page"]:
    with opened(browser, site) as page:
        yield page


@contextmanager
def opened(browser: "Browser", site: Path) -> Iterator["Page"]:
    """Serve the page below a path, open it, and record its requests and its messages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    page: Any = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT)
    page.seen = []
    page.on("console", lambda message: page.seen.append(message.text))
    page.on("pageerror", lambda error: page.seen.append(str(error)))
    page.on("request", lambda request: page.seen.append(request.url))
    page.goto(f"http://127.0.0.1:{server.server_port}/site/")
    page.get_by_text("The model is ready.").wait_for()
    yield page
    page.close()
    server.shutdown()
    server.server_close()


def classified(page: "Page", files: list[Path]) -> dict[str, Any]:
    """Choose files on the page, and return the probabilities by file name."""
    page.locator("#status").evaluate("(status) => { status.textContent = ''; }")
    page.set_input_files("#files", files)
    page.locator("#status").filter(has_text="classified.").wait_for()
    return {
        card.get_attribute("data-file"): json.loads(card.get_attribute("data-probabilities") or "0")
        for card in page.locator(".result").all()
    }


def test_probabilities_are_those_of_predict(page: "Page", images: Path, lite_model: Model) -> None:
    """Ten images get the same probabilities on the page as from clipfeat."""
    files = sorted(images.iterdir())
    shown = classified(page, files)
    predictions = clipfeat.predict(lite_model, images, progress=False)
    assert not predictions.errors
    expected = dict(zip(predictions.paths, predictions.probabilities, strict=True))
    assert list(shown) == [file.name for file in files]  # in the order of their choice
    assert np.ptp(predictions.probabilities[:, 1]) > 0.1
    largest = max(np.abs(np.subtract(shown[name], p)).max() for name, p in expected.items())
    assert largest < 1e-4
    verdicts = page.locator(".result h2").all_inner_texts()
    named = dict(zip(predictions.paths, predictions.predicted, strict=True))
    assert verdicts == [named[file.name] for file in files]
    assert predictions.threshold == 0.4
    assert page.locator(".result .threshold").count() == 10


def test_unsure_images_are_those_of_predict(
    browser: "Browser", abstaining_model: Model, tmp_path: Path
) -> None:
    """Unsure images agree, even where rounding to float32 would cross a limit."""
    (tmp_path / "images").mkdir()
    for number, pixels in enumerate(pictures(24, seed=6)):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:02}.png")
    predictions = clipfeat.predict(abstaining_model, tmp_path / "images", progress=False)
    assert abstaining_model.abstention is not None
    assert (predictions.probabilities == abstaining_model.abstention.smallest).any()
    assert 0 < predictions.unsure.sum() < 24
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "N_IMAGES", 8)
        export_site(abstaining_model, tmp_path / "site", progress=False)
    with opened(browser, tmp_path / "site") as page:
        classified(page, sorted((tmp_path / "images").iterdir()))
        verdicts = page.locator(".result h2").all_inner_texts()
    marks = [" (unsure)" if unsure else "" for unsure in predictions.unsure]
    assert verdicts == [a + b for a, b in zip(predictions.predicted, marks, strict=True)]


def test_an_unreadable_file_has_a_card(page: "Page", tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert classified(page, [tmp_path / "broken.png"])["broken.png"] == 0
    assert "cannot be classified" in page.locator(".result").first.inner_text()
    assert page.locator("#status").inner_text().startswith("1 of ")


def test_nothing_leaves_the_page(page: "Page") -> None:
    """The page requests only its own files, and its policy blocks other hosts and inline code."""
    own = page.url
    assert [one for one in page.seen if not one.startswith((own, "blob:", "data:"))] == []
    assert {one.removeprefix(own) for one in page.seen} >= {"model.onnx", "model.json", "resize.js"}
    refused = "() => fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.message)"
    with page.expect_console_message() as message:
        assert page.evaluate(refused) == "Failed to fetch"
    assert "Content Security Policy" in message.value.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_schemes(page: "Page", scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    shade = "(c => c.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3)"
    paper = page.evaluate(f"{shade}(getComputedStyle(document.body).backgroundColor)")
    assert (paper < 60) == (scheme == "dark")


def test_the_folder_is_complete(site: Path) -> None:
    """The folder contains only files of the page, and the runtime's licence."""
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert names == {
        "index.html", "app.js", "model.js", "resize.js", "web.css", "site.css", "model.json",
        "model.onnx", "onnxruntime/ort.js", "onnxruntime/ort-wasm-simd-threaded.wasm",
        "onnxruntime/LICENSE.txt", "onnxruntime/ThirdPartyNotices.txt",
    }  # fmt: skip


def test_other_files_are_not_replaced(lite_model: Model, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="not an empty folder"):
        export_site(lite_model, tmp_path, progress=False)


def test_a_resizing_that_the_page_lacks_is_refused(lite_model: Model, tmp_path: Path) -> None:
    from dataclasses import replace

    spec = replace(lite_model.specs[0], crop_mode="border")
    with pytest.raises(UsageError, match=r"crop 'border'.*Export an \.onnx file"):
        export_site(replace(lite_model, specs=(spec,)), tmp_path / "site", progress=False)
    assert not list(tmp_path.iterdir())
