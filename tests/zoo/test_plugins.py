"""Tests of classifiers from other installed packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipfeat.errors import UsageError
from clipfeat.zoo import ClassifierRow, classifiers, make_classifier

MODULE = """
from sklearn.naive_bayes import GaussianNB

from clipfeat.zoo import ClassifierRow

ROW = ClassifierRow("bayes", "clipfeat_bayes:make", "naive Bayes", usual=False)


class Bayes(GaussianNB):
    pass


def make(options, *, random_state, n_jobs):
    return Bayes()
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with an installed package that adds the classifier ``bayes``."""
    site = tmp_path / "site"
    info = site / "clipfeat_bayes-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "clipfeat_bayes.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clipfeat-bayes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clipfeat.classifiers]\nbayes = clipfeat_bayes:ROW\n")
    return site


def run(site: Path, *command: str) -> str:
    """Run Python with the package on its path, and return the output."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plugin_is_listed(site: Path) -> None:
    """The command and the registry list the plug-in, whichever module is imported first."""
    assert "bayes       naive Bayes" in run(site, "-m", "clipfeat", "classifiers")
    script = "import clipfeat_bayes, clipfeat.zoo; print(clipfeat.zoo.parse_names('bayes'))"
    assert run(site, "-W", "error", "-c", script) == "['bayes']\n"


def test_a_broken_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the plug-in's function cannot be imported, the error names it."""
    monkeypatch.setitem(classifiers(), "broken", ClassifierRow("broken", "nowhere:make", "raises"))
    with pytest.raises(UsageError, match="'broken' cannot be imported from 'nowhere:make'"):
        make_classifier("broken")
