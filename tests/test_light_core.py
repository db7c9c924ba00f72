"""Tests that features can be fitted and predicted without image, plot and table libraries."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import make_features, write_parts

HEAVY = [
    "torch", "torchvision", "open_clip", "timm", "openvino", "faiss", "optuna", "matplotlib",
    "pyarrow", "huggingface_hub", "skimage", "sklearnex", "lightgbm", "xgboost", "onnxruntime",
    "cv2", "av",
]  # fmt: skip

BLOCK = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None:
    None if name.split(".")[0] in {absent!r} else find(name, path, target)
)
"""
RUN = """
import json, sys
from typer.testing import CliRunner
from clipfeat.cli import app

commands = json.loads(sys.argv[1])
outcomes = [CliRunner().invoke(app, command) for command in commands]
print(json.dumps([(one.exit_code, one.output) for one in outcomes]))
"""


def run_without(absent: list[str], *commands: str) -> list[tuple[int, str]]:
    """Run commands in one new process in which some libraries are not installed."""
    code = BLOCK.format(absent=absent) + RUN
    words = json.dumps([one.split() for one in commands])
    out = subprocess.run(
        [sys.executable, "-c", code, words], check=True, capture_output=True, text=True
    ).stdout
    return [(code, text) for code, text in json.loads(out)]


def test_features_need_no_heavy_library(tmp_path: Path) -> None:
    out = write_parts(tmp_path / "out.h5", make_features())
    done = run_without(
        HEAVY,
        f"fit {out} --clf logreg,knn,svm -o {tmp_path}/m.clipfeat",
        f"predict {tmp_path}/m.clipfeat {out} -o {tmp_path}/predictions.csv",
        f"benchmark {out} --clf logreg,rf --cv 2",
        f"verify {tmp_path}/m.clipfeat",
    )
    assert [code for code, _ in done] == [0] * 4, done
    assert "predicted" in done[1][1]


def test_features_are_read_and_fitted_with_few_libraries(tmp_path: Path) -> None:
    """In Python, this needs NumPy, h5py, scikit-learn and joblib alone."""
    out = write_parts(tmp_path / "out.h5", make_features())
    absent = [*HEAVY, "PIL", "braceexpand", "fsspec", "jinja2", "pandas", "portalocker", "rich",
              "safetensors", "simplejpeg", "typer", "upath", "yaml"]  # fmt: skip
    code = BLOCK.format(absent=absent) + (
        "import clipfeat\n"
        f"features = clipfeat.load({str(out)!r}, progress=False)\n"
        "model = clipfeat.fit(features, 'logreg', progress=False)\n"
        "print(len(model.predict_proba(features)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "40\n"


def test_missing_libraries_are_named(tmp_path: Path) -> None:
    out = write_parts(tmp_path / "out.h5", make_features())
    done = run_without(
        HEAVY,
        f"benchmark {out} --clf logreg -o {tmp_path}/run",
        f"fit {out} --clf knn --tune -o {tmp_path}/m.clipfeat",
        f"export {out} -o {tmp_path}/out.parquet",
        f"demo -o {tmp_path}/demo",
        "encoders",
    )
    assert all(code == 1 and text.count("\n") <= 2 for code, text in done), done
    for (_, text), extra in zip(done, ("report", "tune", "parquet", "demo", "all"), strict=True):
        assert f"pip install 'clipfeat[{extra}]'" in text
    assert not (tmp_path / "run").exists()
