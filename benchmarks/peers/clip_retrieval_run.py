"""Run clip-retrieval's `clip_inference` on a folder, with its defaults.

The time to load its model is not counted.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import open_clip
from clip_retrieval.clip_inference.main import main

encoder, images, weights, out, _ = sys.argv[1:]
loading: list[float] = []
create = open_clip.create_model_and_transforms


def timed(*args: Any, **options: Any) -> Any:
    """Make the model and record the time."""
    begun = time.perf_counter()
    model = create(*args, **options)
    loading.append(time.perf_counter() - begun)
    return model


open_clip.create_model_and_transforms = timed
begun = time.perf_counter()
main(
    input_dataset=images, output_folder=out, enable_text=False,
    # The name after the slash is passed to open_clip, which accepts a file of weights as a tag.
    clip_model=f"{encoder}/{Path(weights).absolute()}",
)  # fmt: skip
seconds = time.perf_counter() - begun - sum(loading)
print(json.dumps({"images": len(list(Path(images).iterdir())), "seconds": seconds}))
