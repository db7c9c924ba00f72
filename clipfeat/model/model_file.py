"""The model file: one zip with what was fitted, on what, and how to check both.

``meta.json`` holds the format's version, classes, encoders with fingerprints, scores and library
versions, and the digest of ``estimator.skops``. The estimator is stored by skops, and read only
when its bytes match the digest and it is made of the types below and no others. There is no
fallback to pickle or joblib, which would run whatever they contain.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import align
from clipfeat.errors import OutputExistsError, RefusedFileError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.spec import EncoderSpec
from clipfeat.system.files import publish, storage_errors
from clipfeat.system.locations import local_path

KIND = "clipfeat-model"
MODEL_NAME = "model.clipfeat"
"""What a model file is called in a folder, and on the hub."""
VERSION = 1
MODEL_LIBRARIES = ("clipfeat", "scikit-learn", "lightgbm", "xgboost", "skops", "numpy")

TRUSTED = (
    "builtins.bytearray",
    "clipfeat.ensemble.stacking.StackedClassifier",
    "clipfeat.ensemble.vote.SoftVotingClassifier",
    "clipfeat.zoo.bagging.BaggedClassifier",
    "clipfeat.zoo.balance.OversampledClassifier",
    "clipfeat.zoo.balance.PriorCorrectedClassifier",
    "clipfeat.zoo.calibration.GroupCalibratedClassifier",
    "clipfeat.zoo.extra_trees.OrderedExtraTreesClassifier",
    "clipfeat.zoo.forest.AcceleratedForestClassifier",
    "clipfeat.zoo.forest.OrderedForestClassifier",
    "clipfeat.zoo.histogram_boosting.HistogramBoostingClassifier",
    "clipfeat.zoo.knn.CappedNeighborsClassifier",
    "clipfeat.zoo.label_encoding.LabelEncodedClassifier",
    "clipfeat.zoo.mlp.MLPHeadClassifier",
    "clipfeat.zoo.primal.PrimalSVC",
    "clipfeat.zoo.prototype.PrototypeClassifier",
    "clipfeat.zoo.scaling.UnitScaler",
    "clipfeat.zoo.svm.AcceleratedSVC",
    "clipfeat.zoo.triplet.TripletProjection",
    "clipfeat.zoo.xgboost.PortableXGBClassifier",
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)
"""What an estimator may be made of beside what skops itself trusts: scikit-learn and NumPy."""


@dataclass(frozen=True)
class Model:
    """A fitted classifier, with what it was fitted on.

    Parameters
    ----------
    estimator : estimator
        Takes the columns of `specs` side by side; its labels are indices into `classes`.
    classes : tuple of str
        Names of the classes; the last of two is the positive one.
    specs : tuple of EncoderSpec
        The encoders whose features it takes, in the order of their columns.
    members : tuple of str
        Names of the classifiers that vote; one where there is no vote.
    scores : sequence of mapping
        Tidy cross-validated scores, as `Benchmark.rows`.
    about : mapping
        What else is worth knowing: number of images, folds, seed.
    threshold : float, optional
        Of two classes, the last is predicted where its probability is above this; None predicts
        the likeliest.
    """

    estimator: Any
    classes: tuple[str, ...]
    specs: tuple[EncoderSpec, ...]
    members: tuple[str, ...] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None

    def predict_proba(self, features: FeatureSet) -> NDArray[np.float64]:
        """Probabilities of the classes, for features of the encoders it was fitted on.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns follow `classes`; rows sum to 1.

        Raises
        ------
        FingerprintError
            If the features are of another encoder; the message says what differs.
        """
        return self._predict_proba({"vote": self.estimator}, features)["vote"]

    def predict_proba_of_members(self, features: FeatureSet) -> dict[str, NDArray[np.float64]]:
        """Predict the probabilities of the classes by each member of the vote.

        Returns
        -------
        dict of str to ndarray of shape (n_samples, n_classes)
            By member. A model without a vote is its own only member.

        Raises
        ------
        FingerprintError
            If the features come from another encoder. The message lists the differences.
        """
        members = getattr(self.estimator, "estimators_", None)
        if not isinstance(members, Mapping):
            members = {" + ".join(self.members) or "model": self.estimator}
        return self._predict_proba(members, features)

    def _predict_proba(
        self, estimators: Mapping[str, Any], features: FeatureSet
    ) -> dict[str, NDArray[np.float64]]:
        if not isinstance(features, FeatureSet):
            raise UsageError(
                f"expected a FeatureSet, got {type(features).__name__}, which does not name its "
                "encoder. Use clipfeat.load or FeatureSet.from_arrays"
            )
        X = features.columns_of(self.specs)
        if not len(X):
            return {name: np.empty((0, len(self.classes))) for name in estimators}
        # The last bits of a row depend on its position in the batch (OpenBLAS on AMD, for one), so
        # identical images are computed once and get equal probabilities.
        rows, place_of = _distinct(features.keys, X)
        distinct = X if len(rows) == len(X) else X[rows]
        classes = np.arange(len(self.classes))
        return {
            name: align(one.predict_proba(distinct), one.classes_, classes)[place_of]
            for name, one in estimators.items()
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model file.

        Raises
        ------
        OutputExistsError
            If something stands there and `overwrite` is false.
        StorageError
            If the disk failed.
        """
        target = local_path(path)
        if target.exists() and not overwrite:
            raise OutputExistsError(f"{target} exists: name another, or say to overwrite it")
        estimator = dump_estimator(self.estimator)
        meta = {
            "kind": KIND,
            "version": VERSION,
            "classes": self.classes,
            "encoders": [json.loads(spec.to_json()) for spec in self.specs],
            "fingerprints": [spec.fingerprint for spec in self.specs],
            "members": self.members,
            "scores": list(self.scores),
            "about": dict(self.about),
            "threshold": self.threshold,
            "libraries": {name: version(name) for name in MODEL_LIBRARIES},
            "digest": hashlib.blake2b(estimator, digest_size=32).hexdigest(),
        }
        image = io.BytesIO()
        with zipfile.ZipFile(image, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("meta.json", json.dumps(meta, indent=1))
            archive.writestr("estimator.skops", estimator)
        with storage_errors(f"making {target.parent}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        publish(image.getvalue(), target)
        return target


def _distinct(
    keys: NDArray[np.bytes_], X: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the distinct images: their rows, in order, and for every row its position there."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = np.arange(len(X))
    if len(first) == len(X):
        return rows, rows
    twin = first[inverse]
    rows = np.where((X[twin] == X).all(axis=1), twin, rows)
    return np.unique(rows, return_inverse=True)


def _refuse_bombs(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse a zip that would unpack to more than it is, before anything is unpacked."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise RefusedFileError(f"{path} is compressed; model files are stored as they are")
    if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
        raise RefusedFileError(f"{path} claims to hold more than its size")


def _threshold(value: Any, classes: Sequence[str]) -> float | None:
    """A stored threshold, if it is one."""
    if value is not None and not (len(classes) == 2 and 0 <= float(value) <= 1):
        raise ValueError(f"threshold {value!r} for {len(classes)} classes")
    return None if value is None else float(value)


def dump_estimator(estimator: Any) -> bytes:
    """A fitted estimator as skops bytes."""
    import skops.io

    dumped: bytes = skops.io.dumps(estimator)
    return dumped


def load_model(path: str | Path) -> Model:
    """Read a model file, or the `MODEL_NAME` of a folder.

    Raises
    ------
    RefusedFileError
        If it is missing, is no model file (a pickle, say), is damaged, is of another version, or
        holds a type that is not trusted. Nothing in it is run before all of this is known.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    target = local_path(path)
    if target.is_dir():
        target /= MODEL_NAME
    if not target.is_file():
        raise RefusedFileError(f"no such model file: {target}")
    try:
        with zipfile.ZipFile(target) as archive:
            _refuse_bombs(archive, target)
            meta = json.loads(archive.read("meta.json"))
            estimator = archive.read("estimator.skops")
        if meta["kind"] != KIND or meta["version"] != VERSION:
            raise RefusedFileError(
                f"{target} is {meta['kind']} of version {meta['version']}; this clipfeat reads "
                f"{KIND} of version {VERSION}"
            )
        specs = tuple(EncoderSpec.from_json(json.dumps(spec)) for spec in meta["encoders"])
        if hashlib.blake2b(estimator, digest_size=32).hexdigest() != meta["digest"]:
            raise RefusedFileError(f"{target} is damaged: the estimator does not match its digest")
        untrusted = set(skops.io.get_untrusted_types(data=estimator)) - set(TRUSTED)
        if untrusted:
            raise RefusedFileError(
                f"{target} holds types that are not trusted: {sorted(untrusted)}"
            )
        for spec in specs:
            spec.warn_if_untrained(target)
        loaded = skops.io.loads(estimator, trusted=list(TRUSTED))
        return Model(
            estimator=loaded,
            classes=tuple(meta["classes"]),
            specs=specs,
            members=tuple(meta["members"]),
            scores=meta["scores"],
            about={**meta["about"], "libraries": meta["libraries"]},
            threshold=_threshold(meta.get("threshold"), meta["classes"]),
        )
    except RefusedFileError:
        raise
    except UntrustedTypesFoundException as error:
        raise RefusedFileError(f"{target} holds types that are not trusted: {error}") from error
    except Exception as error:
        # A damaged zip, JSON or skops tree raises whatever its parser runs into.
        reason = str(error) or type(error).__name__
        raise RefusedFileError(
            f"{target} is not a whole model file of clipfeat ({reason}); pickle and joblib files "
            "are never read"
        ) from error
