"""Tests of loading the weights of encoders."""

import logging

from clipfeat.encoders.weights import quiet


def test_overlapping_quiet_blocks_restore_the_log_level() -> None:
    """Threads enter and leave such blocks in any order."""
    before = logging.getLogger().level
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert logging.getLogger().level == logging.CRITICAL
    second.__exit__(None, None, None)
    assert logging.getLogger().level == before
