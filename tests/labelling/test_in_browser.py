"""Tests of the labelling page in Chromium. They are skipped if it is not installed."""

import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clipfeat.labelling.label_log import read_decisions
from clipfeat.labelling.label_session import LabelSession
from tests.labelling.labelled import HOSTILE
from tests.report.page.test_in_browser import CHROMIUM, QUIET

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium installed")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Start Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def address(application: Any) -> Iterator[str]:
    """Run the application in a thread."""
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def wait_for_text(page: "Page", selector: str, text: str) -> None:
    """Wait until an element contains a text."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).textContent === text",
        arg=[selector, text],
    )


def test_keys_during_a_save_count(
    address: str, session: LabelSession, browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next image is shown before the decision is saved, and a key then labels it."""
    session.wait(30)
    order = [image.path for image in session.state().pending]
    may_save, decide = threading.Event(), session.decide

    def slow(row: int, label: str) -> None:
        may_save.wait(30)
        decide(row, label)

    monkeypatch.setattr(session, "decide", slow)
    page = browser.new_page()
    page.goto(f"{address}/label")
    for i, key in enumerate("2121"):
        wait_for_text(page, "#path", order[i])
        page.keyboard.press(key)
    may_save.set()
    wait_for_text(page, "#status", f"{order[3]}: {HOSTILE}.")
    given = [(one.path, one.label) for one in read_decisions(session.file)]
    assert given == list(zip(order[:4], ["real", HOSTILE] * 2, strict=True))
    page.close()


def test_labelling_by_keyboard(address: str, session: LabelSession, browser: "Browser") -> None:
    """All actions work without a mouse, including undo, refit and a new class."""
    session.wait(30)
    order = [image.path for image in session.state().pending]
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda one: problems.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.goto(f"{address}/label")

    def shows(path: str) -> None:
        page.wait_for_function(
            "path => document.getElementById('path').textContent === path", arg=path
        )

    shows(order[0])
    page.keyboard.press("2")
    shows(order[1])
    wait_for_text(page, "#status", f"{order[0]}: real.")
    assert [(one.path, one.label) for one in read_decisions(session.file)] == [(order[0], "real")]
    page.keyboard.press("s")
    shows(order[2])
    page.keyboard.press("ArrowRight")
    shows(order[3])
    page.keyboard.press("1")
    shows(order[4])
    page.keyboard.press("ArrowLeft")
    shows(order[2])
    page.keyboard.press("u")
    shows(order[3])
    page.keyboard.press("u")
    shows(order[0])
    assert page.is_disabled("#undo")
    page.keyboard.press("2")
    shows(order[3])
    page.keyboard.press("1")
    shows(order[2])
    page.keyboard.press("r")
    page.wait_for_function(
        "() => document.getElementById('about').textContent.includes('on 2 labels')"
    )
    assert page.inner_text("#path") == order[2]  # a fit does not replace the image
    page.focus("#class-name")
    page.keyboard.type("1st odd")  # keys are text here
    page.keyboard.press("Enter")
    page.wait_for_selector("#classes button:nth-child(3)")
    assert page.inner_text("#classes button:nth-child(3)").split("\n")[-1].endswith("1st odd")
    assert session.state().counts == {"real": 1, HOSTILE: 1}
    assert page.evaluate("document.querySelectorAll('img').length") == 1
    assert problems == []
    page.close()
