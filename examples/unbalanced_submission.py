"""Four classifiers on unbalanced classes, with and without balancing, and a Kaggle submission.

Logistic regression, nearest neighbours, a random forest and boosting are fitted on the same
features. The classes have very different numbers of images, so accuracy is misleading, and the
table is ordered by balanced accuracy. A vote of the four classifiers, with the better balancing,
fills the sample submission::

    python examples/unbalanced_submission.py train/ test/ sample_submission.csv
"""

import argparse
import tempfile

import pandas as pd

import clipfeat

CLASSIFIERS = "logreg,knn,rf,lgbm"

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("train", help="folder with a subfolder for each class, or a table of images")
parser.add_argument("test", help="images of the competition's test set")
parser.add_argument("template", help="sample submission of the competition")
parser.add_argument("-o", "--output", default="submission.csv", help="submission to write")
parser.add_argument("--encoder", default="efficientnet-lite0")
parser.add_argument("--image-size", type=int, help="default: the encoder's own")
parser.add_argument("--folds", type=int, default=5)
args = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    options = clipfeat.EncoderOptions(image_size=args.image_size, precision="fp32")
    clipfeat.embed(args.train, f"{folder}/train.h5", encoder=args.encoder, options=options)
    features = clipfeat.load(f"{folder}/train.h5")
print(features)

boards = []
for balance in ("none", "weights"):
    fit_options = clipfeat.FitOptions(balance=balance)
    run = clipfeat.benchmark(features, CLASSIFIERS, protocol=args.folds, options=fit_options)
    boards.append(run.leaderboard().to_pandas().assign(balance=balance))
board = pd.concat(boards).sort_values("balanced_accuracy", ascending=False)
recalls = [f"recall/{name}" for name in features.classes]
columns = ["classifier", "balance", "balanced_accuracy", *recalls, "accuracy", "log_loss"]
print(board[columns].to_string(index=False, float_format="{:.3f}".format))

best = clipfeat.FitOptions(balance=board.balance.iloc[0])
model = clipfeat.fit(features, CLASSIFIERS, cv=0, options=best)
predictions = clipfeat.predict(model, args.test)
filled = clipfeat.fill_template(predictions, clipfeat.Template(args.template))
filled.table.to_csv(args.output, index=False)
print(f"{args.output}: {len(filled.table)} rows, {len(filled.missing)} without an image")
print(filled.summary)
print(filled.table.head().to_string(index=False))
