"""Tests that values on pages are escaped, and that the security policy blocks nothing."""

from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from clipfeat.web.pages import page_templates, render_page


def test_the_frame_of_a_page_needs_no_inline_code() -> None:
    """All scripts and styles are static files of this server."""
    html = page_templates("clipfeat.web").get_template("base.html.j2").render()
    assert html.count("<script") == html.count('<script src="/static/web/')
    assert html.count("<link") == html.count('href="/static/web/') + html.count('href="data:,"')
    assert " style=" not in html and "<style" not in html and "http" not in html


def test_values_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names from files cannot add markup, and control characters become visible."""
    (tmp_path / "room" / "templates").mkdir(parents=True)
    (tmp_path / "room" / "__init__.py").touch()
    (tmp_path / "room" / "templates" / "name.html.j2").write_text(
        '{% extends "base.html.j2" %}{% block content %}<p title="{{ name }}">{% endblock %}'
    )
    monkeypatch.syspath_prepend(tmp_path)
    answer = render_page(page_templates("room"), "name.html.j2", status=404, name='"><b>\x1b')
    assert answer.status_code == 404
    assert '<p title="&#34;&gt;&lt;b&gt;\\x1b">' in bytes(answer.body).decode()
