"""How much memory there is."""

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
    """Of a limit of 1 GiB, what is left of it; without one, no more than the machine has."""
    found = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, check=True)
    assert 2**29 < int(found.stdout) < 2**30
    assert available_memory() > 2**26
