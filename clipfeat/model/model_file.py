"""Models, and the reading and writing of model files in the format of `clipfeat.model.format`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import align
from clipfeat.errors import DataError, OutputExistsError, RefusedFileError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.model.abstention import Abstention
from clipfeat.model.abstention_fields import read_abstention, write_abstention
from clipfeat.model.adaptation import Adaptation
from clipfeat.model.codecs import decode, encode
from clipfeat.model.codecs.scaling import count_features
from clipfeat.model.container import Array, DamagedModelError, read_container, write_container
from clipfeat.model.description import (
    check_fields,
    check_version,
    describe,
    read_about,
    read_adaptation,
    read_prior,
    read_scores,
    read_specs,
)
from clipfeat.model.format import KEY_BYTES, MODEL_NAME, TRAINING_KEYS
from clipfeat.spec import EncoderSpec
from clipfeat.system.escaping import terminal_text
from clipfeat.system.files import is_taken, replacing, storage_errors
from clipfeat.system.locations import local_path

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from clipfeat.prediction.predictions import Predictions

MODEL_LIBRARIES = ("clipfeat", "scikit-learn", "lightgbm", "xgboost", "numpy")
REMEDY = "Get the original file again, or fit the model again"
NO_KEYS = np.empty(0, dtype=f"S{2 * KEY_BYTES}")


@dataclass(frozen=True, repr=False)
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
        Names of the classifiers of the vote, its members. A model without a vote has one member.
    scores : sequence of mapping
        Cross-validated scores, one mapping per score, as in `Benchmark.rows`.
    about : mapping
        Further facts about the fit: the number of images, the number of folds, the seed and others.
    threshold : float, optional
        Decision threshold on the probability of the last class, for two classes. None predicts the
        class with the highest probability.
    training_keys : ndarray of shape (n_keys,), ``S32``
        Content hashes of the training images, in hexadecimal. Empty if the model was fitted on
        arrays.
    prior : tuple of float, optional
        Shares of the classes that the probabilities of the estimator refer to: those of the
        training images, or equal shares if the classes were balanced. None if they are unknown.
    adaptation : Adaptation, optional
        Shifts of the logits for a new domain, from `clipfeat.adapt`. They are applied to all
        predictions. `threshold` then applies to the shifted probabilities.
    abstention : Abstention, optional
        Calibration of the prediction sets, with which predictions are marked as unsure. None if
        the model does not abstain. It refers to the probabilities of the original model, so an
        adapted model does not abstain.
    file : Path, optional
        The file that the model was read from. If it is set, the predictions of the model are
        checked.
    """

    estimator: Any
    classes: tuple[str, ...]
    specs: tuple[EncoderSpec, ...]
    members: tuple[str, ...] = ()
    scores: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    training_keys: NDArray[np.bytes_] = field(default_factory=NO_KEYS.copy, compare=False)
    prior: tuple[float, ...] | None = None
    adaptation: Adaptation | None = None
    abstention: Abstention | None = field(default=None, compare=False)
    file: Path | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        members = " + ".join(self.members) or type(self.estimator).__name__
        encoders = " + ".join(spec.title for spec in self.specs) or "no encoder"
        return terminal_text(f"Model({members} on {encoders}; classes {', '.join(self.classes)})")

    def _repr_html_(self) -> str:
        """Return a card for notebooks with the members and the scores."""
        from clipfeat.model.model_html import model_html

        return model_html(self)

    @property
    def weight_files(self) -> dict[str, str]:
        """Names of the local files of weights by digest, only for display."""
        names = self.about.get("weight_files")
        named = names.items() if isinstance(names, Mapping) else ()
        return {str(digest): str(name) for digest, name in named}

    def is_training(self, keys: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Return which images the model was fitted on.

        Parameters
        ----------
        keys : ndarray of shape (n_images,), ``S32``
            Content hashes of the images.
        """
        known = self._sorted_keys
        if not len(known):
            return np.zeros(len(keys), dtype=np.bool_)
        # np.isin sorts all training keys for every call: 28 ms for 100,000 keys.
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        is_known: NDArray[np.bool_] = known[places] == keys
        return is_known

    @cached_property
    def _sorted_keys(self) -> NDArray[np.bytes_]:
        return np.unique(self.training_keys)

    @property
    def abstention_in_force(self) -> Abstention | None:
        """The abstention, or None for an adapted model, whose calibration does not hold."""
        return None if self.adaptation is not None else self.abstention

    def original(self) -> "Model":
        """Return the model without its adaptation."""
        return replace(self, adaptation=None)

    def abstaining(self, level: float) -> "Model":
        """Return the model with another level of its prediction sets.

        Parameters
        ----------
        level : float
            Largest share of the new images of each class whose prediction set lacks this class, in
            (0, 1). See `clipfeat.model.abstention`.

        Raises
        ------
        UsageError
            If the model was fitted without abstention, or was adapted. If the level is not in
            (0, 1).
        DataError
            If the model has too few calibration images for the level.
        """
        if self.abstention is None:
            raise UsageError(
                "the model stores no calibration for abstention. Fit it again with `clipfeat fit "
                "--abstain 0.05`, or leave out --abstain"
            )
        if self.adaptation is not None:
            raise UsageError(
                "the model was adapted to a new domain, for which its calibration does not hold. "
                "Restore the original model with `clipfeat adapt MODEL --undo`, or leave out "
                "--abstain"
            )
        return replace(self, abstention=self.abstention.at(level, self.classes))

    def adapted(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply the adaptation, if there is one, to probabilities of the original model."""
        return probabilities if self.adaptation is None else self.adaptation.apply(probabilities)

    def predict(self, source: Any, **options: Any) -> "Predictions":
        """Predict the class of each image of a source.

        Parameters
        ----------
        source : FeatureSet, path, sequence of paths, images in memory, or ImageSource
            Features, one or more feature files, or any image source, as for `clipfeat.predict`.
        **options
            Options of `clipfeat.predict`, such as ``weights`` or ``inputs``.

        Returns
        -------
        Predictions
            One row per file. An unreadable file also has a row, and `Predictions.errors` holds the
            reason.

        Raises
        ------
        UsageError
            If the source has images, but the model was fitted on arrays. See `predict_proba`. For
            other errors, see `clipfeat.predict`.
        """
        from clipfeat.prediction.predicting import predict

        return predict(self, source, **options)

    def predict_proba(self, features: "FeatureSet | ArrayLike") -> NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        features : FeatureSet or array-like of shape (n_samples, n_features)
            Features of the model's encoders. The encoders may be in any order, and may have more
            layers than the model uses. An array is accepted if the model was fitted on arrays.

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
        RefusedFileError
            If the model file is damaged in a way that only prediction reveals.
        UsageError
            If `features` is an array, but the model has encoders.
        DataError
            If an array has another number of columns than the training features.
        """
        return self._predict_proba({"vote": self.estimator}, features)["vote"]

    def predict_proba_of_members(
        self, features: "FeatureSet | ArrayLike"
    ) -> dict[str, NDArray[np.float64]]:
        """Predict the probabilities of the classes with each member of the vote.

        Parameters
        ----------
        features : FeatureSet or array-like of shape (n_samples, n_features)
            As in `predict_proba`.

        Returns
        -------
        dict of str to ndarray of shape (n_samples, n_classes)
            Probabilities by name of the member. If the model has no vote, its estimator is the only
            member. An adaptation shifts the logits of each member.

        Raises
        ------
        FingerprintError
            If the features do not come from the model's encoders. The message lists the
            differences.
        RefusedFileError
            If the model file is damaged in a way that only prediction reveals.
        UsageError
            If `features` is an array, but the model has encoders.
        DataError
            If an array has another number of columns than the training features.
        """
        members = getattr(self.estimator, "estimators_", None)
        if not isinstance(members, Mapping):
            members = {" + ".join(self.members) or "model": self.estimator}
        return self._predict_proba(members, features)

    def _predict_proba(
        self, estimators: Mapping[str, Any], features: "FeatureSet | ArrayLike"
    ) -> dict[str, NDArray[np.float64]]:
        if not isinstance(features, FeatureSet):
            features = self._from_array(features)
        X = features.columns_of(self.specs)
        if not self.specs and X.shape[1] != (n_features := count_features(self.estimator)):
            raise DataError(
                f"the model was fitted on {n_features} features, but X has the shape {X.shape}. "
                f"Pass features of shape (n_samples, {n_features})"
            )
        if not len(X):
            return {name: np.empty((0, len(self.classes))) for name in estimators}
        # The last bits of a row's probabilities depend on its position in the batch, for example
        # with OpenBLAS on AMD. Identical images are therefore predicted once.
        rows, inverse = _distinct(features.keys, X)
        distinct = X if len(rows) == len(X) else X[rows]
        classes = np.arange(len(self.classes))
        return {
            name: self.adapted(align(self._checked(one, distinct), one.classes_, classes)[inverse])
            for name, one in estimators.items()
        }

    def _from_array(self, X: "ArrayLike") -> FeatureSet:
        """Check an array of features, and convert it to a feature set."""
        if self.specs:
            raise UsageError(
                f"the model needs features of its encoder {self.specs[0].title}, got "
                f"{type(X).__name__}, which does not record its encoder. Pass "
                "clipfeat.load('out.h5'), or pass the images to model.predict"
            )
        n_features = count_features(self.estimator)
        try:
            matrix = np.asarray(X, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"expected an array of {n_features} features for each image, got "
                f"{type(X).__name__}, which cannot be converted to numbers. Pass an array"
            ) from error
        if matrix.ndim != 2 or matrix.shape[1] != n_features:
            raise DataError(
                f"the model was fitted on {n_features} features, but X has the shape "
                f"{matrix.shape}. Pass an array of shape (n_samples, {n_features})"
            )
        return FeatureSet.from_arrays(matrix, [""] * len(matrix))

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
        UsageError
            If the model exceeds a limit of the format. The new file is read back as a check before
            it is renamed to `path`.
        """
        target = local_path(path)
        if is_taken(target) and not overwrite:
            raise OutputExistsError(f"{target} exists. Choose another path, or pass --overwrite")
        node, arrays = encode(self.estimator)
        n_features = sum(spec.n_features for spec in self.specs) or count_features(self.estimator)
        arrays[TRAINING_KEYS] = _key_bytes(self.training_keys)
        fields, calibration = write_abstention(self.abstention)
        arrays |= calibration
        description = describe(self, node, n_features, library_versions()) | fields
        with storage_errors(f"creating {target.parent}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            write_container(temporary, description, arrays)
            try:
                _read(temporary)
            except (DamagedModelError, RefusedFileError) as error:
                raise UsageError(
                    f"the model cannot be saved, because its file would be refused: {error}. Use "
                    "fewer trees, classes or members"
                ) from error
        return target

    def _checked(self, estimator: Any, X: NDArray[np.float32]) -> NDArray[np.floating]:
        """Predict probabilities. If the model comes from a file, an error means a damaged file."""
        if self.file is None:
            probabilities: NDArray[np.floating] = estimator.predict_proba(X)
            return probabilities
        try:
            with np.errstate(all="ignore"):
                probabilities = estimator.predict_proba(X)
            sums = probabilities.sum(axis=1)
            if not (probabilities.min() >= -1e-6 and np.abs(sums - 1).max() <= 1e-3):
                raise ValueError("its predictions are not probabilities")
        except MemoryError:
            raise
        except Exception as error:
            # All fields were checked, but checked values may not work together.
            raise RefusedFileError(
                f"{self.file} is damaged: prediction failed ({error or type(error).__name__}). "
                f"{REMEDY}"
            ) from error
        return probabilities


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that affect a model."""
    versions = {}
    for name in MODEL_LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


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


def _key_bytes(keys: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    """Convert hexadecimal keys to bytes, without repetitions."""
    data = b"".join(bytes.fromhex(key.decode()) for key in np.unique(keys).tolist())
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, KEY_BYTES)


def _read_keys(arrays: dict[str, Array]) -> NDArray[np.bytes_]:
    keys = arrays.pop(TRAINING_KEYS, None)
    if keys is None or keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != KEY_BYTES:
        raise DamagedModelError(f"array {TRAINING_KEYS!r} is missing or has another shape")
    return np.array([key.tobytes().hex().encode() for key in keys], dtype=NO_KEYS.dtype)


def estimator_bytes(estimator: Any) -> int:
    """Return the number of bytes of a fitted estimator in a model file.

    Raises
    ------
    UsageError
        If there is no codec for the estimator.
    """
    node, arrays = encode(estimator)
    return len(json.dumps(node)) + sum(array.nbytes for array in arrays.values())


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
        another version. Each field is checked before the estimator is built from it.
    """
    target = local_path(path)
    if target.is_dir():
        target /= MODEL_NAME
    if not target.is_file():
        raise RefusedFileError(
            f"model file {target} not found. Check the path, or fit a model with clipfeat fit"
        )
    try:
        model = _read(target)
    except DamagedModelError as error:
        raise RefusedFileError(f"{target} is damaged: {error}. {REMEDY}") from error
    except RefusedFileError as error:
        raise RefusedFileError(f"{target} is refused: {error}") from error
    except MemoryError as error:
        raise RefusedFileError(
            f"{target} does not fit in memory. Load it on a machine with more memory"
        ) from error
    for spec in model.specs:
        spec.warn_if_untrained(target)
    return model


def _read(target: Path) -> Model:
    with target.open("rb") as file:
        start = file.read(64)
    if not start.startswith(b"PK\3\4"):
        raise RefusedFileError(
            "it is not a clipfeat model file. Pass a file from `clipfeat fit`. Pickle and joblib "
            "files are never loaded"
        )
    if start[30:].startswith(b"meta.json"):
        raise RefusedFileError(
            "it is a model file of version 1, which can run code when it is loaded. Fit the model "
            "again with clipfeat fit"
        )
    try:
        description, arrays = read_container(target)
        check_version(description)
        check_fields(description)
        specs, keys = read_specs(description), _read_keys(arrays)
        estimator = decode(description["estimator"], arrays, description["n_features"])
    except (DamagedModelError, RefusedFileError, MemoryError):
        raise
    except Exception as error:
        # The parsers of zip and JSON, and scikit-learn's constructors, raise many types of errors.
        raise DamagedModelError(f"{type(error).__name__}: {error}") from error
    abstention = read_abstention(description, arrays, len(description["classes"]))
    if arrays:
        raise DamagedModelError(f"it has unknown arrays: {', '.join(arrays)[:80]}")
    classes = tuple(description["classes"])
    labels = getattr(estimator, "classes_", np.empty(0))
    if labels.dtype.kind != "i" or not len(labels) or labels[-1] >= len(classes):
        raise DamagedModelError(
            f"the labels of its estimator are not indices of {len(classes)} classes"
        )
    if not hasattr(estimator, "predict_proba"):
        raise DamagedModelError("its estimator predicts no probabilities")
    return Model(
        estimator=estimator,
        classes=classes,
        specs=specs,
        members=tuple(description["members"]),
        scores=read_scores(description),
        about=read_about(description),
        threshold=description["threshold"],
        training_keys=keys,
        prior=read_prior(description),
        adaptation=read_adaptation(description),
        abstention=abstention,
        file=target,
    )
