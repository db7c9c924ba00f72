"""Read and write model files.

A model file is a zip archive with two files. ``meta.json`` holds the version of the format, the
classes, the encoders with their fingerprints, the scores, the versions of libraries, and the digest
of ``estimator.skops``. ``estimator.skops`` holds the estimator in the format of skops. It is loaded
only if its bytes match the digest, and if all its types are in `TRUSTED` or trusted by skops. Files
of pickle and joblib are never loaded, because loading them can run code from the file.
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
"""Name of the model file in a folder and on the hub."""
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
"""Types that an estimator may contain, in addition to the types of scikit-learn and NumPy that
skops trusts."""


@dataclass(frozen=True)
class Model:
    """A fitted classifier with its classes, encoders and scores.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator. It takes the features of all encoders in `specs`, side by side. Its labels
        are indices into `classes`.
    classes : tuple of str
        Names of the classes. If there are two, the last is the positive class.
    specs : tuple of EncoderSpec
        The encoders of the features, in the order of the columns. Empty if the model was fitted on
        arrays.
    members : tuple of str
        Names of the members of the vote, which are its classifiers. A model without a vote has one
        member.
    scores : sequence of mapping
        Cross-validated scores, one mapping per score, as in `Benchmark.rows`.
    about : mapping
        Further facts about the fit: the number of images, the number of folds, the seed and others.
    threshold : float, optional
        Decision threshold on the probability of the last class, for two classes. None predicts the
        class with the highest probability.
    """

    estimator: Any
    classes: tuple[str, ...]
    specs: tuple[EncoderSpec, ...]
    members: tuple[str, ...] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None

    def predict_proba(self, features: FeatureSet) -> NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        features : FeatureSet
            Features of the model's encoders. The encoders may be in any order, and may have more
            layers than the model uses.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities. Columns follow `classes`, and rows sum to 1. Identical images have equal
            rows.

        Raises
        ------
        FingerprintError
            If the features do not come from the model's encoders. The message lists the
            differences.
        UsageError
            If `features` is not a feature set.
        """
        return self._predict_proba({"vote": self.estimator}, features)["vote"]

    def predict_proba_of_members(self, features: FeatureSet) -> dict[str, NDArray[np.float64]]:
        """Predict the probabilities of the classes with each member of the vote.

        Parameters
        ----------
        features : FeatureSet
            As in `predict_proba`.

        Returns
        -------
        dict of str to ndarray of shape (n_samples, n_classes)
            Probabilities by name of the member. If the model has no vote, its estimator is the only
            member.

        Raises
        ------
        FingerprintError
            If the features do not come from the model's encoders. The message lists the
            differences.
        UsageError
            If `features` is not a feature set.
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
                f"expected features with their encoder in a FeatureSet, got "
                f"{type(features).__name__}. Use clipfeat.load or FeatureSet.from_arrays"
            )
        X = features.columns_of(self.specs)
        if not len(X):
            return {name: np.empty((0, len(self.classes))) for name in estimators}
        # The last bits of a row's probabilities depend on its position in the batch, for example
        # with OpenBLAS on AMD. Identical images are therefore predicted once.
        rows, inverse = _distinct(features.keys, X)
        distinct = X if len(rows) == len(X) else X[rows]
        classes = np.arange(len(self.classes))
        return {
            name: align(one.predict_proba(distinct), one.classes_, classes)[inverse]
            for name, one in estimators.items()
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model file.

        Parameters
        ----------
        path : path
            Path of the new file. Missing parent folders are created.
        overwrite : bool
            Replace an existing file.

        Returns
        -------
        Path
            Path of the written file.

        Raises
        ------
        OutputExistsError
            If the file exists and `overwrite` is false.
        StorageError
            If writing fails.
        """
        target = local_path(path)
        if target.exists() and not overwrite:
            raise OutputExistsError(f"{target} exists. Choose another path, or pass --overwrite")
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
        with storage_errors(f"creating {target.parent}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        publish(image.getvalue(), target)
        return target


def _distinct(
    keys: NDArray[np.bytes_], X: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the distinct images.

    Two rows are the same image if they have the same key and the same features. The key alone is
    not sufficient, because different rows of arrays or of a damaged file may have the same key.

    Returns
    -------
    rows : ndarray of shape (n_distinct,), int64
        The first row of each distinct image, in ascending order.
    inverse : ndarray of shape (n_samples,), int64
        For each row, the index of its image in `rows`.
    """
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rows = np.arange(len(X))
    if len(first) == len(X):
        return rows, rows
    twin = first[inverse]
    rows = np.where((X[twin] == X).all(axis=1), twin, rows)
    return np.unique(rows, return_inverse=True)


def _refuse_bombs(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse a zip archive that would unpack to more bytes than it has."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise RefusedFileError(
            f"{path} has compressed members, but the members of a model file are not compressed. "
            "Get the original file again, or fit the model again"
        )
    declared = sum(member.file_size for member in archive.infolist())
    if declared > (size := path.stat().st_size):
        raise RefusedFileError(
            f"{path} is damaged: it has {size} bytes, but its members have {declared} bytes. Get "
            "the original file again, or fit the model again"
        )


def _threshold(value: Any, classes: Sequence[str]) -> float | None:
    """Check the decision threshold of a model file, and return it."""
    if value is not None and len(classes) != 2:
        raise ValueError(
            f"a decision threshold ({value!r}) needs two classes, but the model has {len(classes)}"
        )
    if value is not None and not 0 <= float(value) <= 1:
        raise ValueError(f"the decision threshold ({value!r}) is outside [0, 1]")
    return None if value is None else float(value)


def dump_estimator(estimator: Any) -> bytes:
    """Serialise a fitted estimator in the format of skops."""
    import skops.io

    dumped: bytes = skops.io.dumps(estimator)
    return dumped


def load_model(path: str | Path) -> Model:
    """Read a model file.

    Parameters
    ----------
    path : path
        The file, or a folder that contains a file named `MODEL_NAME`.

    Returns
    -------
    Model
        The fitted model.

    Raises
    ------
    RefusedFileError
        If the file is missing, damaged, or not a model file, such as a pickle. If its format has
        another version. If it contains a type that is not trusted. All checks precede the loading
        of the estimator.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    target = local_path(path)
    if target.is_dir():
        target /= MODEL_NAME
    if not target.is_file():
        raise RefusedFileError(
            f"model file {target} not found. Check the path, or fit a model with clipfeat fit"
        )
    try:
        with zipfile.ZipFile(target) as archive:
            _refuse_bombs(archive, target)
            meta = json.loads(archive.read("meta.json"))
            estimator = archive.read("estimator.skops")
        if meta["kind"] != KIND or meta["version"] != VERSION:
            raise RefusedFileError(
                f"{target} is a {meta['kind']} file of version {meta['version']}, but this version "
                f"of clipfeat reads {KIND} files of version {VERSION}. Install the version of "
                "clipfeat that wrote the file"
            )
        specs = tuple(EncoderSpec.from_json(json.dumps(spec)) for spec in meta["encoders"])
        if hashlib.blake2b(estimator, digest_size=32).hexdigest() != meta["digest"]:
            raise RefusedFileError(
                f"{target} is damaged: the estimator does not match its digest. Get the original "
                "file again, or fit the model again"
            )
        untrusted = set(skops.io.get_untrusted_types(data=estimator)) - set(TRUSTED)
        if untrusted:
            raise RefusedFileError(
                f"{target} contains untrusted types: {', '.join(sorted(untrusted))}. Fit the model "
                "again with this version of clipfeat"
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
        raise RefusedFileError(
            f"{target} contains untrusted types: {error}. Fit the model again with this version of "
            "clipfeat"
        ) from error
    except Exception as error:
        # The parsers of zip, JSON and skops raise many types of errors for a damaged file.
        reason = str(error) or type(error).__name__
        raise RefusedFileError(
            f"{target} is not a complete clipfeat model file ({reason}). Pass a file from "
            "`clipfeat fit`. Pickle and joblib files are never loaded"
        ) from error
