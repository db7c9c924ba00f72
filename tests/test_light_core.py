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

RUN = """
import json, sys
from importlib.machinery import PathFinder

commands, absent = json.loads(sys.argv[1]), set(json.loads(sys.argv[2]))
find = PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None:
    None if name.split(".")[0] in absent else find(name, path, target)
)
from typer.testing import CliRunner
from clipfeat.cli import app

outcomes = [CliRunner().invoke(app, command) for command in commands]
print(json.dumps([(one.exit_code, one.output) for one in outcomes]))
"""


def run_without(absent: list[str], *commands: str) -> list[tuple[int, str]]:
    """Run commands in one new process in which some libraries are not installed."""
    arguments = [json.dumps([one.split() for one in commands]), json.dumps(absent)]
    out = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], check=True, capture_output=True, text=True
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
