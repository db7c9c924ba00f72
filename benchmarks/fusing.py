"""What does a transformer gain from layers put together, on a processor's core?

``python benchmarks/fusing.py [--repeats 7]``

Random weights and images of 224×224; one core, as each of them has a batch of its own when
clipfeat encodes; both ways in turns: as the model is, and as `clipfeat.encoders.fusing` changes it.
"""

import argparse
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import open_clip
import timm
import torch

from clipfeat.encoders.runtime import TorchForward

SIDE, IMAGES = 224, 64
SCALING = ((0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
MODELS: Mapping[str, Callable[[], torch.nn.Module]] = {
    "open_clip ViT-B-32": lambda: open_clip.create_model("ViT-B-32").visual,
    "open_clip ViT-B-32-quickgelu": lambda: open_clip.create_model("ViT-B-32-quickgelu").visual,
    "timm vit_small_patch16_224": partial(
        timm.create_model, "vit_small_patch16_224", num_classes=0
    ),
    "timm vit_small_patch14_dinov2": partial(
        timm.create_model, "vit_small_patch14_dinov2", num_classes=0, img_size=SIDE
    ),
}


def main() -> None:
    """Print the medians, least and most, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    logging.disable(logging.CRITICAL)  # open_clip warns of random weights
    torch.set_num_threads(1)
    print(
        f"{platform.platform()}, one of {os.cpu_count()} cores; ms an image, median (least – most)"
    )
    for name, make in MODELS.items():
        model = make().eval().requires_grad_(False)
        for precision in ("bf16", "fp32"):
            about = (model, torch.device("cpu"), precision, (SIDE, SIDE), *SCALING)
            ways = {
                "as it is": TorchForward(*about, fuse=False),
                "fused": TorchForward(*about, fuse=True),
            }
            for size in (8, 32):
                shape = (size, SIDE, SIDE, 3)
                batch = torch.randint(0, 256, shape, dtype=torch.uint8).permute(0, 3, 1, 2)
                spent: dict[str, list[float]] = {way: [] for way in ways}
                with torch.inference_mode():
                    for forward in ways.values():
                        forward(batch)
                    for _ in range(repeats):
                        for way, forward in ways.items():
                            begun = time.perf_counter()
                            for _ in range(IMAGES // size):
                                forward(batch)
                            spent[way].append(1000 * (time.perf_counter() - begun) / IMAGES)
                said = [f"{way} {statistics.median(s):.2f} ({min(s):.2f} – {max(s):.2f})"
                        for way, s in spent.items()]  # fmt: skip
                ratio = statistics.median(
                    p / f for p, f in zip(spent["as it is"], spent["fused"], strict=True)
                )
                print(
                    f"{name}, {precision}, {size} at once: {', '.join(said)}, "
                    f"{ratio:.2f} times as fast",
                    flush=True,
                )


if __name__ == "__main__":
    main()
