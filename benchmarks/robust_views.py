"""Accuracy on clean and degraded images, trained with and without the views ``robust``.

Example: python benchmarks/robust_views.py train.tar test.tar out/ --clf logreg,svm

The training images are encoded with several ``robust`` views, and the test images with every
degradation of ``clipfeat robustness``. A classifier is then fitted on the original images, and on
the originals with some of their views. The folder keeps the features, so the script resumes.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import clipfeat
from clipfeat.evaluate.metrics import score
from clipfeat.prediction.degrading import DEGRADATIONS

ORIGINAL = "original"


def main() -> None:
    """Encode both sets, fit each classifier on each set of views, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("out", type=Path)
    parser.add_argument("--clf", default="logreg")
    parser.add_argument("--encoder", default="efficientnet-lite0")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--image-root")
    parser.add_argument("--views", default="0,1,3", help="numbers of robust views to compare")
    args = parser.parse_args()
    numbers = [int(number) for number in args.views.split(",")]
    args.out.mkdir(exist_ok=True)
    degraded = {
        f"{name}-{strength:g}": [{step: arguments} for step, arguments in steps]
        for name, row in DEGRADATIONS.items()
        for strength, steps in row.strengths.items()
    }
    views_file = args.out / "degradations.json"
    views_file.write_text(json.dumps(degraded))
    sets = {}
    robust = f"robust{max(2, *numbers)}"
    for name, source, views in (("train", args.train, robust), ("test", args.test, views_file)):
        clipfeat.embed(
            source,
            args.out / f"{name}.h5",
            encoder=args.encoder,
            options=clipfeat.EncoderOptions(
                layers="all", image_size=args.image_size, precision="fp32"
            ),
            inputs=clipfeat.SourceOptions(views=views, image_root=args.image_root),
        )
        sets[name] = clipfeat.load(args.out / f"{name}.h5")
    train, test = sets["train"], sets["test"]
    for clf in args.clf.split(","):
        accuracy: dict[int, dict[str, float]] = {}
        for n in numbers:
            kept = [ORIGINAL, *(f"robust-{draw}" for draw in range(1, n + 1))]
            rows = np.isin(train.columns["view"], kept)
            model = clipfeat.fit(train.take(rows), clf, cv=0, split=None)
            accuracy[n] = {}
            for view in [ORIGINAL, *degraded]:
                shown = test.take(test.columns["view"] == view)
                metrics = score(shown.y, model.predict_proba(shown))
                accuracy[n][view] = metrics["balanced_accuracy"]
            of_degraded = {view: accuracy[n][view] for view in degraded}
            worst = min(of_degraded, key=of_degraded.__getitem__)
            print(
                f"{clf}, {n} robust views: balanced accuracy {accuracy[n][ORIGINAL]:.3f}, mean of "
                f"degraded images {np.mean(list(of_degraded.values())):.3f}, worst case "
                f"{of_degraded[worst]:.3f} ({worst})",
                flush=True,
            )
        for view in [ORIGINAL, *degraded]:
            print(f"  {clf} {view:<14}", *(f"{accuracy[n][view]:.3f}" for n in numbers))


if __name__ == "__main__":
    main()
