"""An encoder and a soft vote in a scikit-learn pipeline: faces against other images.

The script uses the 200 small images that scikit-image includes:
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
# The spectrum represents texture, not shapes. A CLIP encoder also represents faces.
scores = cross_val_score(make_pipeline(ImageEncoder("spectrum"), vote), images, y, cv=5)
print(f"accuracy {scores.mean():.3f} ± {scores.std(ddof=1):.3f}")
