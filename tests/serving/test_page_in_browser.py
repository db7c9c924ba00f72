"""Tests of the page of verdicts in Chromium. They are skipped if it is not installed."""

import csv
import io
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

from clipfeat.model import Model
from clipfeat.model.abstention import Abstention
from clipfeat.prediction.predicting import predict
from clipfeat.serving import page_parts
from clipfeat.serving.app import create_app
from clipfeat.serving.opening import open_serving
from clipfeat.serving.training_images import TrainingImages
from clipfeat.system.escaping import spreadsheet_text, terminal_text
from tests.report.page.test_in_browser import CHROMIUM, QUIET
from tests.serving.conftest import ONE_WORKER

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium installed")

HOSTILE = "=1+<img src=x onerror=alert(1)>.png"
TIMEOUT = 60_000
PASTE = """([name, url]) => {
    const bytes = Uint8Array.from(atob(url.split(",")[1]), (one) => one.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: "image/jpeg" }));
    const options = { bubbles: true, cancelable: true };
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, ...options }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, ...options }));
}"""
"""Paste an image and drop it. The address is that of a picture of the page."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(model_of_two: Model, feature_files: list[Path], image_files: Path) -> Iterator[str]:
    """Serve, in a thread, a model that is unsure about real images."""
    import uvicorn

    abstention = Abstention(0.5, np.array([0.2, 0.9, 0.001, 0.9]), (2, 2), (2, 2))
    model = replace(model_of_two, abstention=abstention)
    training = TrainingImages.open(model, feature_files, image_files)
    with (
        pytest.MonkeyPatch.context() as patch,
        open_serving(model, device="cpu", resources=ONE_WORKER, training=training) as serving,
        socket.socket() as listener,
    ):
        patch.setattr(page_parts, "SLOW_SECONDS", 1e9)  # a busy machine is slow
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(serving), log_level="error", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def open_page(browser: "Browser", address: str, problems: list[str], **options: Any) -> "Page":
    """Open the page, and record errors, dialogs and requests to other hosts."""
    page = browser.new_page(**options)
    page.on("console", lambda one: problems.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    own = (address, "data:", "blob:")
    page.on("request", lambda one: one.url.startswith(own) or problems.append(one.url))
    page.goto(address)
    return page


def wait_for_parts(page: "Page") -> None:
    """Wait until every part of the shown image is loaded."""
    from playwright.sync_api import expect

    expect(page.locator("#result .findings")).to_have_count(1, timeout=TIMEOUT)
    expect(page.locator("#result .lazy")).to_have_count(0, timeout=TIMEOUT)
    expect(page.locator("#rows td:text-is('…')")).to_have_count(0, timeout=TIMEOUT)


def violations(page: "Page") -> list[str]:
    """Return the violations of WCAG 2.2 AA and best practices that axe-core finds."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    issues = axe.Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in issues]


def test_a_session_by_keyboard(
    browser: "Browser", address: str, model_of_two: Model, image_files: Path, tmp_path: Path
) -> None:
    """Images can be chosen, read, switched and downloaded by keyboard."""
    problems: list[str] = []
    page = open_page(browser, address, problems, viewport={"width": 1280, "height": 900})
    assert violations(page) == []
    hostile = tmp_path / HOSTILE
    image = image_files / "fake" / "fake-1.png"
    hostile.write_bytes(image.read_bytes())
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    while page.evaluate("document.activeElement.id") != "files":
        page.keyboard.press("Tab")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('label')).outlineStyle") == "solid"
    )
    # Chromium does not open its dialogue reliably without a window, so the key is not pressed.
    files = [hostile, image_files / "real" / "real-1.png", broken]
    page.set_input_files("#files", files)
    wait_for_parts(page)
    assert page.inner_text("#result h2") == HOSTILE
    assert page.locator(".neighbours img").count() == 8
    assert page.locator(".map img").count() == 1
    assert page.locator(".changes dt").count() == 4

    page.locator("#rows button").nth(1).focus()
    page.keyboard.press("Enter")
    wait_for_parts(page)
    assert page.inner_text(".class-name") == "unsure"
    assert page.locator("#rows td.unsure").inner_text() == "unsure (real)"
    assert violations(page) == []
    page.locator("#rows button").nth(2).press("Enter")
    assert "cannot be decoded" in page.inner_text("#result .notice")
    assert "failed: the image cannot be decoded" in page.inner_text("#rows td.bad")

    with page.expect_download() as download:
        page.locator("#download").press("Enter")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert [row["path"] for row in rows] == [f"'{HOSTILE}", "real-1.png", "broken.png"]
    expected = predict(model_of_two, image, device="cpu", progress=False).probabilities[0, 1]
    assert float(rows[0]["p_fake"]) == expected
    assert [row["predicted"] for row in rows] == ["fake", "real", ""]
    assert [row["unsure"] for row in rows] == ["False", "True", ""]
    assert rows[2]["error"]
    page.locator("#clear").press("Enter")
    assert page.locator("#session").is_hidden()
    assert problems == []
    page.close()


def test_a_phone_in_dark_mode(browser: "Browser", address: str, image_files: Path) -> None:
    """Images can be pasted and dropped. Nothing is wider than the screen."""
    problems: list[str] = []
    page = open_page(
        browser, address, problems, viewport={"width": 400, "height": 800}, color_scheme="dark"
    )
    page.set_input_files("#files", image_files / "real" / "real-2.png")
    wait_for_parts(page)
    picture = page.get_attribute("#result .picture img", "src")
    page.evaluate(PASTE, ["pasted.jpg", picture])
    page.locator("#rows button").nth(2).wait_for(timeout=TIMEOUT)
    wait_for_parts(page)
    assert page.inner_text("#result h2") == "pasted.jpg"
    assert page.locator("#rows tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert violations(page) == []
    assert problems == []
    page.close()


def test_names_and_sizes_of_files(browser: "Browser", address: str) -> None:
    """More images than fit in a request are classified. The CSV escapes their names."""
    page = open_page(browser, address, [])
    page.evaluate("document.getElementById('files').dataset.limit = 10")
    names = ['a"b.png', "x\u202egnp.exe", "\tcmd\x1b[2J.png", *(f"{n}.png" for n in range(70))]
    files = [{"name": name, "mimeType": "image/png", "buffer": b"x" * 11} for name in names]
    page.set_input_files("#files", files)  # type: ignore[arg-type]
    page.locator("#rows td.bad").nth(72).wait_for(timeout=TIMEOUT)
    assert (
        page.inner_text("#rows tr:first-child td.bad") == "failed: the file has more than 10 bytes"
    )
    assert page.inner_text("#result h2") == 'a"b.png'
    with page.expect_download() as download:
        page.locator("#download").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    escaped = [spreadsheet_text(terminal_text(name)) for name in names]
    assert [row["path"] for row in rows] == escaped
    page.close()


def test_another_image_is_shown_while_parts_load(
    browser: "Browser", address: str, image_files: Path
) -> None:
    """The parts of an image are loaded, even while another image is shown."""
    page = open_page(browser, address, [])
    page.route("**/page/parts?parts=all", lambda route: None)
    page.set_input_files("#files", image_files / "real" / "real-4.png")
    page.set_input_files("#files", image_files / "fake" / "fake-4.png")
    page.unroute("**/page/parts?parts=all")  # this continues the requests
    page.locator("#result h2:text-is('fake-4.png')").wait_for(timeout=TIMEOUT)
    wait_for_parts(page)
    page.locator("#rows button").nth(0).click()
    wait_for_parts(page)
    assert page.inner_text("#result h2") == "real-4.png"
    page.close()


def test_an_image_is_uploaded_once(browser: "Browser", address: str, image_files: Path) -> None:
    """All parts of the image that is shown come with one request, and so do those of another."""
    page = open_page(browser, address, [])
    uploads: list[str] = []
    page.on("request", lambda one: uploads.append(one.url) if one.method == "POST" else None)
    page.set_input_files("#files", image_files / "real" / "real-5.png")
    wait_for_parts(page)
    assert [url.partition("?")[2] for url in uploads] == ["parts=all"]
    uploads.clear()
    page.set_input_files(
        "#files", [image_files / "fake" / "fake-5.png", image_files / "real" / "real-5.png"]
    )
    wait_for_parts(page)
    page.locator("#rows button").nth(2).click()
    wait_for_parts(page)
    queries = [url.partition("?")[2] for url in uploads]
    assert queries == ["parts=all", "parts=verdict", "parts=changes,facts,occlusion,neighbours"]
    page.close()


CARD = """<article class="card" data-row='{"error": "", "predicted": "real", "p_real": 1}'>
<h2 class="file-name"></h2>
<div class="facts lazy" data-part="facts"><p class="waiting"></p></div>
<div class="map lazy" data-part="occlusion"><p class="waiting"></p></div>
</article>"""


def test_a_part_that_fails(browser: "Browser", address: str, image_files: Path) -> None:
    """A busy server is asked again. The error of a part, or a cut-off answer, is shown."""
    page = open_page(browser, address, [])
    statuses = iter([429, 200])
    lines = [{"part": "verdict", "html": CARD}, {"part": "facts", "error": "<i>"}]
    body = "".join(json.dumps(line) + "\n" for line in lines)

    def answer(route: Any) -> None:
        route.fulfill(status=next(statuses), headers={"Retry-After": "1"}, body=body)

    page.route("**/page/parts?parts=all", answer)
    page.set_input_files("#files", image_files / "real" / "real-3.png")
    page.locator(".facts .notice.error").wait_for(timeout=TIMEOUT)
    assert page.inner_text(".facts .notice.error") == "<i>"
    page.locator(".map .notice.error").wait_for(timeout=TIMEOUT)
    assert "incomplete" in page.inner_text(".map .notice.error")
    page.close()
