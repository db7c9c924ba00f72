"""An encoder and a vote as parts of scikit-learn: faces against other pictures.

Runs as it is, on the 200 small pictures that scikit-image brings along:
``python examples/in_scikit_learn.py``
"""

import numpy as np
import skimage.data
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipfeat import ImageEncoder, SoftVotingClassifier

images = [np.uint8(255 * image) for image in skimage.data.lfw_subset()]
y = ["face"] * 100 + ["other"] * 100

vote = SoftVotingClassifier(
    [
        ("lr", make_pipeline(StandardScaler(), LogisticRegression())),
        ("lda", LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")),
    ]
)
# The spectrum sees texture alone, no shapes; a CLIP encoder here would know what a face is.
scores = cross_val_score(make_pipeline(ImageEncoder("spectrum"), vote), images, y, cv=5)
print(f"accuracy {scores.mean():.3f} ± {scores.std(ddof=1):.3f}")
