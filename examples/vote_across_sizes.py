"""A vote of the best five of nine models (three image sizes, three augmentations).

The models are fitted on photographs, ``--own`` generators, and equally many ``--external`` images.
The best five are chosen on new images of the own generators, and tested on other generators.
"""

import argparse
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

import clipfeat

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("images", type=Path, help="table with path, label, generator, group")
parser.add_argument("--own", nargs="+", required=True, help="generators to learn and to choose on")
parser.add_argument("--external", nargs="+", required=True, help="generators to mix in 1:1")
parser.add_argument("--encoder", nargs="+", default=[f"efficientnet-lite{i}" for i in range(3)])
parser.add_argument("--sizes", type=int, nargs="+", default=[224, 240, 260])
parser.add_argument("--views", default=Path(__file__).with_name("augmentations.yaml"))
args = parser.parse_args()
table = pd.read_csv(args.images, dtype=str, keep_default_na=False)
folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
for fold, (_, rows) in enumerate(folds.split(table, table.generator, table.group)):
    table.loc[rows, "fold"] = fold  # 0: test, 1: validation, 2 and 3: train
is_own, is_external = (table.generator.isin(names) for names in (args.own, args.external))
own = table[(table.label == "real") | is_own]
train, external = own[own.fold > 1], table[is_external & (table.fold > 1)]
validation, test = own[own.fold == 1], table[~is_own & ~is_external & (table.fold == 0)]
external = external.sample(min(len(external), sum(train.label == "fake")), random_state=0)
sets = {"train": pd.concat([train, external]), "validation": validation, "test": test}
members = []
with TemporaryDirectory() as folder:
    for encoder, size in zip(cycle(args.encoder), args.sizes):
        options, features = clipfeat.EncoderOptions(image_size=size, precision="fp32"), {}
        for name, images in sets.items():
            source, out = f"{folder}/{name}.csv", f"{folder}/{name}-{size}.h5"
            images.to_csv(source, index=False)
            views = args.views if name == "train" else None
            inputs = clipfeat.SourceOptions(image_root=args.images.parent, views=views)
            clipfeat.embed(source, out, encoder=encoder, options=options, inputs=inputs)
            features[name] = clipfeat.load(out)
        view = features["train"].column("view")
        for name in sorted({*view} - {"original"}):
            rows = features["train"].take((view == "original") | (view == name))
            model = clipfeat.fit(rows, "svm", cv=0)
            tests = [clipfeat.predict(model, features[one]) for one in ("validation", "test")]
            auc = [one.scores()["roc_auc"] for one in tests]
            members.append([f"{name}, {size} px", *auc, tests[1]])
board = pd.DataFrame(members, columns=["member", "validation", "test", "predictions"])
board = board.sort_values("validation", ascending=False)
best = [*board.predictions[:5]]
vote = replace(best[0], probabilities=clipfeat.soft_vote([one.probabilities for one in best]))
print(f"{sum(train.label == 'fake')} own and {len(external)} external generated images; ROC AUC")
print(board.drop(columns="predictions").to_string(index=False, float_format="{:.3f}".format))
print(f"vote of the best five on the test: {vote.scores()['roc_auc']:.3f}")
