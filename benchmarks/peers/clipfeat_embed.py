"""Run clipfeat, and report the time to open the encoder separately."""

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from clipfeat.embedding import engines, pipeline
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.system.stopwatch import Stopwatch

encoder, images, weights, out, precision = sys.argv[1:]
watch = Stopwatch()
open_encoder = engines.open_encoder


def timed(*args: Any, **keywords: Any) -> Any:
    """Open an encoder and record the time."""
    with watch.timing("open"):
        return open_encoder(*args, **keywords)


engines.open_encoder = timed
import_module(
    "clipfeat.embedding.stream"
)  # imports torch before the timed part, as all other scripts do

begun = time.perf_counter()
report = pipeline.embed(
    images,
    Path(out) / "out.h5",
    encoder=encoder,
    options=EncoderOptions(weights=weights, precision=precision),
)
opening = watch.seconds["open"]
seconds = time.perf_counter() - begun - opening
print(json.dumps({"images": report.n_rows, "seconds": seconds, "opening": opening}))
