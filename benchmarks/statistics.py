"""Tables of the simulations in ``simulations.py`` and ``fitted_simulations.py``.

``python benchmarks/statistics.py [TABLE …] [--draws 200]``

If another script of this folder, or one of its libraries, imports ``statistics``, Python finds this
file before the module of the standard library. This file then loads the standard module in its own
place.
"""

import sys

if __name__ == "statistics":
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path
    from sysconfig import get_path

    spec = spec_from_file_location(__name__, Path(get_path("stdlib")) / "statistics.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[__name__] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])
elif __name__ == "__main__":
    from fitted_simulations import FITTED
    from simulations import TABLES, main

    main({**TABLES, **FITTED})
