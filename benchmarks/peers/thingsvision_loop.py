"""Run thingsvision's extractor on a folder, as in its README."""

import json
import sys
import time
from pathlib import Path

from thingsvision import get_extractor
from thingsvision.utils.data import DataLoader, ImageDataset
from thingsvision.utils.storing import save_features

encoder, images, _, out, _ = sys.argv[1:]
extractor = get_extractor(encoder.partition(":")[2], source="timm", device="cpu", pretrained=False)
begun = time.perf_counter()
dataset = ImageDataset(
    root=images, out_path=out, backend=extractor.get_backend(),
    transforms=extractor.get_transformations(),
)  # fmt: skip
batches = DataLoader(dataset=dataset, batch_size=64, backend=extractor.get_backend())
features = extractor.extract_features(
    batches=batches, module_name="global_pool", flatten_acts=True, output_type="ndarray"
)
save_features(features, out_path=out, file_format="npy")
n = len(list(Path(images).iterdir()))
print(json.dumps({"images": n, "seconds": time.perf_counter() - begun}))
