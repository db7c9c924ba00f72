"""Tests of standard output that is closed, full, or only partly read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = f"{sys.executable} -m clipfeat"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("words", ["--help", "classifiers"])
def test_a_full_disk_is_one_line(words: str) -> None:
    """A full disk gives the exit code of a file that cannot be written."""
    done = shell(f"{COMMAND} {words} > /dev/full")
    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_ends_early_is_no_error() -> None:
    """The exit code is 0, and nothing is printed on standard error."""
    done = shell(f"{COMMAND} classifiers | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_streams_do_not_mix_with_files(tmp_path: Path) -> None:
    """A file that the command opens does not get the descriptor of a closed stream."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from clipfeat.cli.streams import open_closed_streams\n"
        "open_closed_streams()\n"
        f"file = open({str(tmp_path / 'out')!r}, 'w')\n"
        "print('output'); print('error', file=sys.stderr)\n"
        "os.write(1, b'from C'); os.write(2, b'from C')\n"
        "file.write('content'); file.close()\n"
    )
    done = shell(f"{sys.executable} {script} <&- >&- 2>&-")
    assert done.returncode == 0
    assert (tmp_path / "out").read_text() == "content"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no limits of address space")
def test_a_low_limit_of_address_space_is_one_line(image_folder: Path) -> None:
    """The error of the first large import names the limit."""
    done = shell(
        f"ulimit -v 1000000; {COMMAND} embed {image_folder} {image_folder}.h5 --encoder spectrum"
    )
    assert done.returncode == 1
    assert "error: the address space of this process is limited to 1.0 GiB" in done.stderr
    assert "Traceback" not in done.stderr
