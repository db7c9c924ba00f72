"""What does an encoder gain from scaling and activations fused into products, in bfloat16 on a CPU?

``python benchmarks/fusing.py [--repeats 7]``

Random weights and images of 224×224, batches of 32 and 64, both ways in turns: the encoder as
clipfeat runs it, and the same without `clipfeat.encoders.fusing`.
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

from clipfeat.encoders import runtime
from clipfeat.encoders.runtime import TorchForward

SIDE, IMAGES = 224, 128
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
    print(f"{platform.platform()}, {os.cpu_count()} cores; ms an image, median (least – most)")
    fuse = runtime.fused
    for name, make in MODELS.items():
        model = make().eval().requires_grad_(False)
        ways = {}
        for way, function in {"plain": lambda *_: None, "fused": fuse}.items():
            runtime.fused = function
            ways[way] = TorchForward(model, torch.device("cpu"), "bf16", (SIDE, SIDE), *SCALING)
        for size in (32, 64):
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
                p / f for p, f in zip(spent["plain"], spent["fused"], strict=True)
            )
            print(f"{name}, {size} at once: {', '.join(said)}, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
