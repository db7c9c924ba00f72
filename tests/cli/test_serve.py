"""Tests of ``clipfeat serve``."""

import http.client
import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clipfeat.evaluate.fitting import fit
from clipfeat.web import installed
from tests.cli.command_line import assert_fails, clipfeat, embed, succeed
from tests.conftest import make_features, write_parts

pytest.importorskip("fastapi")


def test_a_server_prints_its_address_and_ends_cleanly(image_folder: Path) -> None:
    """The printed address has the token. SIGTERM ends the server with code 0."""
    embed()
    succeed("fit", "--cv", 0, "--clf", "logreg")
    words = ["serve", "model.clipfeat", "--features", "out.h5", "--host", "0.0.0.0", "--port", "0",
             "--device", "cpu", "-j", "1"]  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "clipfeat", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving model.clipfeat at http://127.0.0.1:")
            url = urlsplit(line.split()[-1])
            with closing(http.client.HTTPConnection("127.0.0.1", url.port, timeout=60)) as client:
                statuses = []
                for query in ("", f"?{url.query}"):
                    client.request("GET", f"/model{query}")
                    answer = client.getresponse()
                    answer.read()
                    statuses.append(answer.status)
                assert statuses == [401, 303]
                client.request("GET", "/health")
                assert json.loads(client.getresponse().read())["status"] == "ok"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert process.stderr is not None
            assert process.stderr.read().endswith("stopped. All requests were answered\n")
        finally:
            process.kill()


def test_invalid_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invalid options are one-line errors before the encoder is loaded."""
    fit(make_features(), cv=0, progress=False).save("model.clipfeat")
    write_parts(Path("other.h5"), make_features(name="other"))
    words = ("serve", "model.clipfeat", "--device", "cpu")
    assert_fails(clipfeat(*words, "--queue", 2), 2, "--queue 64 or more")
    assert_fails(clipfeat(*words, "--timeout", 0), 2, "timeout must be above 0, got 0.0")
    assert_fails(clipfeat(*words, "--token", "short"), 2, "at least 8 characters")
    assert_fails(clipfeat(*words, "--host", "192.0.2.1"), 2, "--host")
    Path("text").write_text("text")
    assert_fails(clipfeat("serve", "text"), 6, "not a clipfeat model file")
    result = clipfeat(*words, "--port", 0, "--features", "other.h5")
    assert_fails(result, 6, "the features come from another encoder")
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    assert_fails(clipfeat(*words), 1, "pip install 'clipfeat[app]'")
