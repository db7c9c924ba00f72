"""Projection of the features before a classifier, trained with a triplet loss."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.errors import MissingExtraError
from clipfeat.zoo.acceleration import pick_device, seeded_torch
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.scaling import make_scaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and a projection."""
    projection = TripletProjection(
        random_state=random_state, n_jobs=n_jobs, device=pick_device(options.accelerate)
    )
    return make_pipeline(make_scaler(options.scale, StandardScaler()), projection)


class TripletProjection(TransformerMixin, BaseEstimator):
    """Linear projection onto the unit sphere that places rows of the same class near each other.

    Training uses dropout and the triplet loss on semi-hard negatives (Schroff et al. 2015, arXiv
    1503.03832). pytorch-metric-learning finds these negatives. The projection overfits its training
    rows, so calibrate the pipeline of projection and classifier on held-out rows.

    Parameters
    ----------
    n_components : int
        Number of output features, at most the number of input features.
    margin : float
        Margin of the triplet loss: the distance to rows of other classes should exceed the
        distance to rows of the same class by this value.
    dropout : float
        Fraction of the inputs that each training step drops.
    epochs : int
        Number of epochs.
    batch_size : int
        Number of rows in a batch.
    learning_rate, weight_decay : float
        Parameters of AdamW. The learning rate follows a cosine schedule.
    random_state : int, optional
        Random seed of the initial weights, the batches and dropout.
    n_jobs : int
        Number of torch threads. -1 uses all processors.
    device : str
        Torch device for training.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights of the projection.
    intercept_ : ndarray of shape (n_components,)
        Intercepts of the projection.
    """

    def __init__(
        self,
        n_components: int = 512,
        *,
        margin: float = 0.2,
        dropout: float = 0.5,
        epochs: int = 20,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        random_state: int | None = None,
        n_jobs: int = -1,
        device: str = "cpu",
    ) -> None:
        self.n_components = n_components
        self.margin = margin
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: Any, y: Any) -> Self:
        """Train the projection.

        Raises
        ------
        MissingExtraError
            If pytorch-metric-learning is not installed.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        codes = np.unique(y, return_inverse=True)[1]
        with seeded_torch(self.random_state, self.n_jobs):
            self._train(X, codes)
        self._n_features_out = len(self.components_)
        return self

    def _train(self, X: NDArray[np.float32], codes: NDArray[np.int64]) -> None:
        import torch
        from torch import nn

        try:
            from pytorch_metric_learning.losses import TripletMarginLoss
            from pytorch_metric_learning.miners import TripletMarginMiner
        except ImportError as error:
            raise MissingExtraError(
                "the triplet projection needs pytorch-metric-learning, which is not installed. Run "
                "pip install 'clipfeat[metric]'"
            ) from error
        linear = nn.Linear(X.shape[1], min(self.n_components, X.shape[1]))
        network = nn.Sequential(nn.Dropout(self.dropout), linear).to(self.device)
        loss = TripletMarginLoss(margin=self.margin)
        miner = TripletMarginMiner(margin=self.margin, type_of_triplets="semihard")
        rows, labels = torch.from_numpy(X), torch.from_numpy(codes)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = self.epochs * -(-len(X) // self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        network.train()
        for _ in range(self.epochs):
            for batch in self._batches(codes):
                optimizer.zero_grad()
                out = nn.functional.normalize(network(rows[batch].to(self.device)))
                of = labels[batch].to(self.device)
                loss(out, of, miner(out, of)).backward()
                optimizer.step()
                schedule.step()
        self.components_ = linear.weight.detach().cpu().numpy().copy()
        self.intercept_ = linear.bias.detach().cpu().numpy().copy()

    def _batches(self, codes: NDArray[np.int64]) -> "list[Any]":
        """Divide the rows into batches of shuffled groups, each with four rows of one class.

        Each batch then holds several rows of many classes, as the triplet loss needs.
        """
        import torch

        order = torch.randperm(len(codes)).numpy()
        order = order[np.argsort(codes[order], kind="stable")]
        fours = np.array_split(order, -(-len(order) // 4))
        mixed = [fours[i] for i in torch.randperm(len(fours)).tolist()]
        rows = torch.from_numpy(np.concatenate(mixed))
        return list(torch.tensor_split(rows, -(-len(rows) // self.batch_size)))

    def transform(self, X: Any) -> NDArray[np.floating]:
        """Project rows onto the unit sphere. The result has shape (n_samples, n_components)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        projected = normalize(X.astype(np.float32) @ self.components_.T + self.intercept_)
        return projected.astype(X.dtype)  # type: ignore[no-any-return]
