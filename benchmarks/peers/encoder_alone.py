"""The encoder that clipfeat would use, on images that are already in memory: the upper bound."""

import json
import sys
import time
from pathlib import Path

from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import EncoderOptions
from clipfeat.images.decode import decode

encoder, images, weights, _, precision = sys.argv[1:]
files = sorted(Path(images).iterdir())
frozen = open_encoder(
    encoder, EncoderOptions(weights=weights, precision=precision, n_images=len(files))
)
inputs = [frozen.preprocess(decode(file.read_bytes()).pixels) for file in files[:256]]
size, passes = 32, 4
frozen.encode(inputs[:size])
begun = time.perf_counter()
for start in [*range(0, len(inputs), size)] * passes:
    frozen.encode(inputs[start : start + size])
print(json.dumps({"images": passes * len(inputs), "seconds": time.perf_counter() - begun}))
