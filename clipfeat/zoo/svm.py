"""Support vector machine with RBF kernel.

If scikit-learn-intelex is installed, it fits the SVM many times faster. The result is a
scikit-learn SVC. It can be saved, loaded and applied without scikit-learn-intelex.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils.multiclass import _ovr_decision_function
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.one_blas_thread import one_blas_thread
from clipfeat.zoo.primal import PrimalSVC
from clipfeat.zoo.scaling import make_scaler
from clipfeat.zoo.size import LARGE, warn_of_size

BASIS = 1_000
"""Number of rows in Nyström's approximation of the kernel."""
ROWS = 512
"""Largest number of rows that a thread predicts at a time."""
FEW = 32
"""For up to this number of rows, limiting the threads takes more time than it saves."""


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and an SVM, calibrated by cross-validation."""
    svc = AcceleratedSVC(
        C=4.0, random_state=random_state, n_jobs=n_jobs, accelerate=options.accelerate
    )
    return GroupCalibratedClassifier(
        make_pipeline(make_scaler(options.scale), svc), n_splits=3, random_state=random_state
    )


class AcceleratedSVC(SVC):
    """scikit-learn's SVC with RBF kernel, fitted by scikit-learn-intelex if it is installed.

    Above `LARGE` training rows, the kernel is approximated with `BASIS` rows by Nyström's method
    (Williams and Seeger 2001). A linear SVM on this approximation then replaces the kernel SVM. The
    attribute ``large_`` holds the pipeline of both.

    Parameters
    ----------
    C, decision_function_shape, class_weight, random_state
        As in `sklearn.svm.SVC`.
    n_jobs : int, optional
        Number of threads. None and -1 use all processors.
    accelerate : bool
        Use scikit-learn-intelex if it is installed.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        decision_function_shape: str = "ovr",
        class_weight: Any = None,
        random_state: int | None = None,
        n_jobs: int | None = None,
        accelerate: bool = True,
    ) -> None:
        super().__init__(
            C=C,
            cache_size=1000,
            decision_function_shape=decision_function_shape,
            class_weight=class_weight,
            random_state=random_state,
        )
        self.n_jobs = n_jobs
        self.accelerate = accelerate

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit as `sklearn.svm.SVC` does."""
        if len(X) > LARGE and sample_weight is None:
            warn_of_size(f"svm approximates its kernel with {BASIS:,} rows (Nyström)")
            gamma = 1 / (X.shape[1] * float(X.var()))  # "scale"
            basis = Nystroem(gamma=gamma, n_components=BASIS, random_state=self.random_state)
            linear = PrimalSVC(C=self.C, class_weight=self.class_weight)
            self.large_ = make_pipeline(basis, linear).fit(X, y)
            self.classes_, self.n_features_in_ = self.large_.classes_, X.shape[1]
            self.shape_fit_ = X.shape
            return self
        try:
            if not self.accelerate:
                raise ImportError
            from sklearnex.svm import SVC as FastSVC
        except ImportError:
            super().fit(X, y, sample_weight)
            return self
        params = {key: value for key, value in self.get_params().items() if key != "accelerate"}
        fast = FastSVC(**params, cache_size=1000).fit(X, y, sample_weight)
        _copy_solution(fast, self)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels as `sklearn.svm.SVC` does, or with ``large_`` if it was fitted."""
        large = hasattr(self, "large_")
        labels: NDArray[Any] = self.large_.predict(X) if large else super().predict(X)
        return labels

    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Compute the scores of `sklearn.svm.SVC` with matrix products in the precision of `X`.

        This is about forty times faster than libsvm, which processes rows one by one in float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        if hasattr(self, "large_"):
            scores: NDArray[np.floating] = self.large_.decision_function(X)
            return scores
        support = self.support_vectors_.astype(X.dtype)
        middle = support.mean(axis=0)  # centred, distances in float32 are precise enough
        support -= middle
        squares = np.square(support).sum(axis=1)
        dual, gamma = self.dual_coef_.astype(X.dtype), float(self._gamma)

        def pairs_of(rows: NDArray[np.floating]) -> NDArray[np.floating]:
            return self._pairwise(_gaussian(rows - middle, support, squares, gamma), dual)

        if len(X) <= FEW:
            pairs = pairs_of(np.asarray(X))
        else:
            parts = np.array_split(np.asarray(X), -(-len(X) // ROWS))
            n_threads = min(len(parts), joblib.effective_n_jobs(self.n_jobs or -1))
            with one_blas_thread(), ThreadPoolExecutor(n_threads) as pool:
                pairs = np.concatenate(list(pool.map(pairs_of, parts)))
        if len(self.classes_) == 2:
            return pairs.ravel()
        if self.decision_function_shape == "ovo":
            return pairs
        return _ovr_decision_function(pairs < 0, -pairs, len(self.classes_))  # type: ignore[no-any-return]

    def _pairwise(
        self, kernel: NDArray[np.floating], dual: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Compute one score per pair of classes, of shape (n_rows, n_pairs).

        A positive score means the first class of the pair. If there are only two classes, it means
        the second class, as in scikit-learn.
        """
        ends = np.cumsum(self.n_support_)
        of = [slice(end - n, end) for end, n in zip(ends, self.n_support_, strict=True)]
        scores = [
            kernel[:, of[i]] @ dual[j - 1, of[i]] + kernel[:, of[j]] @ dual[i, of[j]]
            for i, j in combinations(range(len(of)), 2)
        ]
        pairs: NDArray[np.floating] = np.stack(scores, axis=1) + self.intercept_
        return pairs


def _gaussian(
    rows: NDArray[np.floating],
    support: NDArray[np.floating],
    squares: NDArray[np.floating],
    gamma: float,
) -> NDArray[np.floating]:
    """Compute the RBF kernel of rows and support vectors, whose squared norms are `squares`."""
    kernel: NDArray[np.floating] = rows @ support.T
    kernel *= 2
    kernel -= np.square(rows).sum(axis=1)[:, None]
    kernel -= squares
    np.minimum(kernel, 0, out=kernel)  # negative distances are rounding errors
    kernel *= gamma
    return np.exp(kernel, out=kernel)  # type: ignore[no-any-return]


def _copy_solution(fast: Any, plain: Any) -> None:
    """Copy the solution of scikit-learn-intelex into the attributes of a scikit-learn SVC.

    For two classes, libsvm uses the opposite sign. The private coefficients of a scikit-learn SVC
    are therefore the negated public coefficients. See `sklearn.svm._base.BaseLibSVM.fit`.
    """
    sign = -1.0 if len(fast.classes_) == 2 else 1.0
    plain.classes_ = fast.classes_
    plain.class_weight_ = np.asarray(fast.class_weight_, dtype=np.float64)
    plain.n_features_in_ = fast.n_features_in_
    plain.shape_fit_ = fast.shape_fit_
    plain.support_ = np.asarray(fast.support_, dtype=np.int32)
    plain.support_vectors_ = np.ascontiguousarray(fast.support_vectors_, dtype=np.float64)
    plain._n_support = np.asarray(fast.n_support_, dtype=np.int32)
    plain.dual_coef_ = np.ascontiguousarray(fast.dual_coef_, dtype=np.float64)
    plain.intercept_ = np.ascontiguousarray(fast.intercept_, dtype=np.float64)
    plain._dual_coef_ = sign * plain.dual_coef_
    plain._intercept_ = sign * plain.intercept_
    plain._probA = plain._probB = np.empty(0)
    plain._gamma = float(fast._gamma)
    plain._sparse = plain._effective_probability = False
    plain.fit_status_ = 0
    plain.n_iter_ = np.atleast_1d(fast.n_iter_)
    plain._num_iter = plain.n_iter_
