"""Real photographs against simulated generators: embed, benchmark, fit, predict.

The script needs no data and takes about ten seconds: ``python examples/real_or_generated.py``
"""

import tempfile
from pathlib import Path

import clipfeat
from clipfeat.cli.demo_images import make_simulated

with tempfile.TemporaryDirectory() as folder:
    images = make_simulated(Path(folder), patches=6, new=3)
    clipfeat.embed(images.manifest, f"{folder}/out.h5", encoder="spectrum")
    features = clipfeat.load(f"{folder}/out.h5")

    # Detectors meet new generators, so the score on an unseen generator matters most.
    seen = clipfeat.benchmark(features, "logreg,svm", protocol=4)
    unseen = clipfeat.benchmark(features, "logreg,svm", protocol=clipfeat.LeaveOneOut("generator"))
    for title, run in (("seen generators", seen), ("unseen generator", unseen)):
        best = run.leaderboard().entries[0]
        auc = run.to_pandas().query("classifier == @best and metric == 'roc_auc'").value.mean()
        print(f"{title}: best is {best}, ROC AUC {auc:.3f}")

    model = clipfeat.fit(features, "logreg,svm", cv=0)
    predictions = clipfeat.predict(model, images.new)
    print(predictions.to_pandas().head())
    print({name: round(value, 3) for name, value in predictions.scores().items()})
