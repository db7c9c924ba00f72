"""Tests of loading the weights of encoders."""

import logging
from threading import Thread

import pytest

from clipfeat.encoders.weights import quiet


def test_quiet_blocks_drop_the_records_of_their_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Other threads log as usual. Blocks may end in any order."""
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    logging.getLogger("timm").warning("dropped")
    other = Thread(target=logging.getLogger("clipfeat.serving").error, args=["of a server"])
    other.start()
    other.join()
    second.__exit__(None, None, None)
    logging.getLogger("timm").warning("after the blocks")
    assert caplog.messages == ["of a server", "after the blocks"]
