"""A small set: train, validation and test, report, confusion matrix, curves and contact sheet.

The source is a folder with a subfolder for each class, of images or of videos. Videos are
classified by their frames, and all frames of a video are in one of the three sets::

    python examples/small_set.py images/ -o run/
    python examples/small_set.py videos/ -o run/ --frames 8
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.metrics import classification_report
from sklearn.model_selection import StratifiedGroupKFold

import clipfeat

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("images", help="folder of images or videos, or a table")
parser.add_argument("-o", "--output", type=Path, default=Path("run"), help="folder of the run")
parser.add_argument("--encoder", default="efficientnet-lite0")
parser.add_argument("--image-size", type=int, help="default: the encoder's own")
parser.add_argument("--frames", type=int, default=8, help="number of frames of a video")
parser.add_argument("--clf", default="logreg,knn,rf,svm", help="classifiers to compare")
args = parser.parse_args()

options = clipfeat.EncoderOptions(image_size=args.image_size, precision="fp32")
inputs = clipfeat.SourceOptions(frames=clipfeat.FrameSampling(frames=args.frames))
with TemporaryDirectory() as folder:
    out = f"{folder}/out.h5"
    clipfeat.embed(args.images, out, encoder=args.encoder, options=options, inputs=inputs)
    features = clipfeat.load(out).in_content_order()  # for the same split in every run

folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
parts = np.empty(len(features), dtype="U5")
groups = features.split_groups if features.split_groups is not None else features.paths
for fold, (_, rows) in enumerate(folds.split(features.X, features.y, groups)):
    parts[rows] = ("test", "val", "train", "train", "train")[fold]
features = replace(features, columns={**features.columns, "split": parts})

run = clipfeat.benchmark(features, args.clf)  # fits on train, chooses on val, reports test
run.save(args.output, overwrite=True)
board = run.leaderboard()
columns = ["classifier", "balanced_accuracy_on_validation", "balanced_accuracy", "roc_auc"]
print(board.to_pandas()[columns].to_string(index=False, float_format="{:.3f}".format))
best = board.entries[0] if board.entries[0] in args.clf.split(",") else args.clf
model = clipfeat.fit(features, best, cv=0)  # leaves out the test images
predictions = clipfeat.predict(model, features.take(parts == "test"))
print(f"{best} on test\n{classification_report(predictions.labels, predictions.predicted)}")
shots = clipfeat.FewShot((2, 5, 10, 20, 50), n_splits=3)
few = clipfeat.benchmark(features.take(parts != "test"), best, protocol=shots)
for name, one in (("confusion", run), ("roc", run), ("few_shot", few)):
    one.plot(name).savefig(args.output / f"{name}.png")
clipfeat.contact_sheet(predictions, args.images, inputs=inputs).save(args.output / "sheet.png")
