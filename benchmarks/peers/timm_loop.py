"""Run the loop of timm's documentation, with one DataLoader worker per core."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import timm
import timm.data
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

encoder, images, weights, out, _ = sys.argv[1:]
model = timm.create_model(encoder.partition(":")[2])
model.load_state_dict(torch.load(weights, weights_only=True))
model.reset_classifier(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
model.eval().to(device)
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
files = sorted(Path(images).iterdir())


class Folder(Dataset):  # type: ignore[type-arg]
    """Images with timm's transform."""

    def __len__(self) -> int:
        return len(files)

    def __getitem__(self, i: int) -> torch.Tensor:
        tensor: torch.Tensor = transform(Image.open(files[i]).convert("RGB"))
        return tensor


begun = time.perf_counter()
rows = []
with torch.no_grad():
    for batch in DataLoader(Folder(), batch_size=64, num_workers=os.cpu_count() or 1):
        rows.append(model(batch.to(device)).cpu().numpy())
np.save(Path(out) / "features.npy", np.concatenate(rows))
print(json.dumps({"images": len(files), "seconds": time.perf_counter() - begun}))
