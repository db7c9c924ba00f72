"""Tests of the demo's images."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from clipfeat.cli.demo_images import GENERATORS, make_simulated


def test_every_patch_goes_through_every_generator(tmp_path: Path) -> None:
    """Each real patch has one similar, but different, version per generator."""
    made = make_simulated(tmp_path, patches=2, new=1)
    table = pd.read_csv(made.manifest, keep_default_na=False)
    assert len(table) == made.n_images == 8 * 2 * (1 + len(GENERATORS))
    assert len(list(made.new.rglob("*.png"))) == made.n_new == 2 * (1 + len(GENERATORS))
    assert table[table.label == "real"].generator.unique().tolist() == [""]
    real = np.asarray(Image.open(made.manifest.parent / "real/astronaut-00.png"), dtype=float)
    for name in GENERATORS:
        fake = np.asarray(Image.open(made.manifest.parent / f"fake/astronaut-00-{name}.png"), float)
        assert 0.8 < np.corrcoef(real.ravel(), fake.ravel())[0, 1] < 0.9999
