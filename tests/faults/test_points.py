"""Test of faults at every write, fsync, rename and link of a small writing job."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler"
)
def test_every_point_of_a_small_job(tmp_path: Path, full: bool) -> None:
    """After any ENOSPC, EIO or kill, no row is lost, and the next run completes the file."""
    library = tmp_path / "inject.so"
    build = ["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "inject.c", "-ldl"]
    subprocess.run(build, check=True)
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.points", library, tmp_path, "1" if full else "18"],
        cwd=HERE.parents[1],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["broken"] == []
    assert min(result["points"].values()) >= 30, result["points"]
    assert len(result["points"]) == 12
