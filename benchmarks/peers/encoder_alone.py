"""Run clipfeat's encoder on images in memory, as an upper bound of the speed."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from clipfeat.embedding.preparing import Known, Ready
from clipfeat.embedding.workers import WorkerPool, encode_prepared
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.images.decode import decode
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch

PASSES = 4

encoder, images, weights, _, precision = sys.argv[1:]
files = sorted(Path(images).iterdir())
frozen = open_encoder(
    encoder, EncoderOptions(weights=weights, precision=precision), n_images=len(files)
)
inputs = [frozen.preprocess(decode(file.read_bytes()).pixels) for file in files[:256]]
workers = WorkerPool(frozen, None, Stopwatch(), None)


def prepared(passes: int) -> Iterator[list[Ready | Known]]:
    """Yield the same images several times."""
    for number in range(passes * len(inputs)):
        row = Row(str(number), number.to_bytes(16, "big"))
        yield [Ready(row, inputs[number % len(inputs)])]


for _ in encode_prepared(prepared(1), workers):  # chooses the batch size
    pass
begun = time.perf_counter()
for _ in encode_prepared(prepared(PASSES), workers):
    pass
print(json.dumps({"images": PASSES * len(inputs), "seconds": time.perf_counter() - begun}))
