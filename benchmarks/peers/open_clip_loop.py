"""Run the loop of open_clip's README, with one DataLoader worker per core."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

encoder, images, weights, out, _ = sys.argv[1:]
model, _, transform = open_clip.create_model_and_transforms(encoder.partition(":")[2])
model.load_state_dict(torch.load(weights, weights_only=True))
device = "cuda" if torch.cuda.is_available() else "cpu"
model.eval().to(device)
files = sorted(Path(images).iterdir())


class Folder(Dataset):  # type: ignore[type-arg]
    """Images with open_clip's transform."""

    def __len__(self) -> int:
        return len(files)

    def __getitem__(self, i: int) -> torch.Tensor:
        tensor: torch.Tensor = transform(Image.open(files[i]))
        return tensor


begun = time.perf_counter()
rows = []
with torch.no_grad():
    for batch in DataLoader(Folder(), batch_size=64, num_workers=os.cpu_count() or 1):
        rows.append(model.encode_image(batch.to(device)).cpu().numpy())
np.save(Path(out) / "features.npy", np.concatenate(rows))
print(json.dumps({"images": len(files), "seconds": time.perf_counter() - begun}))
