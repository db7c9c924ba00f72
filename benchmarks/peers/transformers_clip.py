"""Run CLIP of transformers as in its documentation, with random weights of the same shape."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

_, images, _, out, _ = sys.argv[1:]
config = CLIPVisionConfig(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    patch_size=32, projection_dim=512,
)  # fmt: skip
model = CLIPVisionModelWithProjection(config).eval()
processor = CLIPImageProcessor()
files = sorted(Path(images).iterdir())


def read(some: list[Path]) -> torch.Tensor:
    """Read and preprocess a batch."""
    pixels = processor(images=[Image.open(file) for file in some], return_tensors="pt")
    tensor: torch.Tensor = pixels["pixel_values"]
    return tensor


begun = time.perf_counter()
rows = []
loader: DataLoader[Path] = DataLoader(
    files,
    batch_size=64,
    num_workers=os.cpu_count() or 1,
    collate_fn=read,  # type: ignore[arg-type]
)
with torch.no_grad():
    for batch in loader:
        rows.append(model(pixel_values=batch).image_embeds.numpy())
np.save(Path(out) / "features.npy", np.concatenate(rows))
print(json.dumps({"images": len(files), "seconds": time.perf_counter() - begun}))
