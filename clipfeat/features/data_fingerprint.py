"""Fingerprint of a data set, computed from its images, labels and groups."""

import hashlib

import numpy as np

from clipfeat.features.feature_set import FeatureSet


def data_fingerprint(features: FeatureSet) -> str:
    """Compute a digest of the content hash, label and group of every row.

    The digest does not depend on the order of the rows, their paths or the encoders. A set made
    from arrays has no content hashes, so hashes of its feature values are used instead.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> one = FeatureSet.from_arrays([[0.0], [1.0]], ["cat", "dog"])
    >>> other = FeatureSet.from_arrays([[1.0], [0.0]], ["dog", "cat"])
    >>> data_fingerprint(one) == data_fingerprint(other)
    True
    """
    keys = features.keys.tolist()
    if not features.specs:
        rows = np.ascontiguousarray(features.X)
        keys = [hashlib.sha256(row.tobytes()).hexdigest().encode() for row in rows]
    groups = features.groups.tolist() if features.groups is not None else [""] * len(keys)
    texts = zip(features.labels.tolist(), groups, strict=True)
    about = [f"\0{label}\0{group}".encode(errors="surrogatepass") for label, group in texts]
    lines = sorted(key + text for key, text in zip(keys, about, strict=True))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:32]
