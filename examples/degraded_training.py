"""Training on degraded copies with a centre crop, and an average of one model per fold.

Each training image gets six degraded copies: JPEG, noise, blur, colour, grey, and shift, scale and
rotation. Every image is resized to 256 pixels, and the encoder gets the central 156 of them. One
model is fitted per fold, and their probabilities are averaged. The table shows the scores of this
model, and of a model of the clean images only, on clean and on degraded test images::

    python examples/degraded_training.py train/ test/
"""

import argparse
import tempfile

import pandas as pd

import clipfeat

DEGRADATIONS = "jpeg,noise,blur,colour,grey,shift-scale-rotate"

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("train", help="folder with a subfolder for each class, or a table of images")
parser.add_argument("test", help="labelled test images")
parser.add_argument("--encoder", default="efficientnet-lite0")
parser.add_argument("--resize", type=int, default=256, help="shorter side of the resized image")
parser.add_argument("--crop", type=int, default=156, help="side of the centre crop")
parser.add_argument("--folds", type=int, default=5, help="number of models to average")
parser.add_argument("--clf", default="svm", help="classifier, or several for a vote")
parser.add_argument("--metric", default="balanced_accuracy", help="metric of the table")
args = parser.parse_args()

options = clipfeat.EncoderOptions(
    image_size=args.crop, arguments={"crop_pct": args.crop / args.resize}, precision="fp32"
)
inputs = clipfeat.SourceOptions(views=DEGRADATIONS)
sets = {}
with tempfile.TemporaryDirectory() as folder:
    for name, images in (("train", args.train), ("test", args.test)):
        out = f"{folder}/{name}.h5"
        clipfeat.embed(images, out, encoder=args.encoder, options=options, inputs=inputs)
        sets[name] = clipfeat.load(out)
        print(f"{name}: {sets[name]}")

train, test = sets["train"], sets["test"]
clean = train.take(train.column("view") == "original")
averaged = clipfeat.FitOptions(bag=args.folds)
models = {
    "clean": clipfeat.fit(clean, args.clf, cv=0, options=averaged),
    "clean and degraded": clipfeat.fit(train, args.clf, cv=0, options=averaged),
}
scores = {
    f"trained on {name}": {
        view: clipfeat.predict(model, test.take(test.column("view") == view)).scores()[args.metric]
        for view in ("original", *DEGRADATIONS.split(","))
    }
    for name, model in models.items()
}
table = pd.DataFrame(scores)
table.loc["mean"] = table.mean()
print(f"{args.metric} on test images")
print(table.to_string(float_format="{:.3f}".format))
