"""Test of the available memory."""

import subprocess
import sys

from clipfeat.system.memory import available_memory

LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from clipfeat.system.memory import available_memory
print(available_memory())
"""


def test_a_limit_of_the_process_bounds_it() -> None:
    """A resource limit of the process bounds the available memory."""
    result = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, check=True)
    assert 2**29 < int(result.stdout) < 2**30
    assert available_memory() > 2**26
