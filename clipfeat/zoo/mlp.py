"""Small neural network on the features, trained with torch and stored as NumPy arrays."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.acceleration import pick_device, seeded_torch
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import check_classes, inner_folds
from clipfeat.zoo.scaling import make_scaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline of a scaler and a network with one hidden layer."""
    network = MLPHeadClassifier(
        random_state=random_state, n_jobs=n_jobs, device=pick_device(options.accelerate)
    )
    return make_pipeline(make_scaler(options.scale, StandardScaler()), network)


class MLPHeadClassifier(ClassifierMixin, BaseEstimator):
    """Network with one hidden layer and dropout, trained with AdamW and early stopping.

    The learning rate follows a cosine schedule. About one eighth of the training rows is held out
    for early stopping, without splitting groups. The fitted network has the weights of the epoch
    with the smallest log loss on these held-out rows. Prediction does not need torch.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer.
    dropout : float
        Fraction of the inputs and of the hidden units that each training step drops.
    epochs : int
        Largest number of epochs.
    batch_size : int
        Number of rows in a batch.
    learning_rate, weight_decay : float
        Parameters of AdamW.
    patience : int
        Training ends after this many epochs without improvement.
    class_weight : "balanced", dict or None
        Class weights.
    random_state : int, optional
        Random seed of the initial weights, the batches, dropout and the held-out rows.
    n_jobs : int
        Number of torch threads. -1 uses all processors.
    device : str
        Torch device for training.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    coefs_, intercepts_ : list of ndarray
        Weights and biases of the two layers.
    n_epochs_ : int
        Number of the best epoch, counted from 1.
    """

    def __init__(
        self,
        *,
        hidden: int = 256,
        dropout: float = 0.5,
        epochs: int = 60,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        patience: int = 10,
        class_weight: Any = None,
        random_state: int | None = None,
        n_jobs: int = -1,
        device: str = "cpu",
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Train, and keep the weights of the best epoch."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        check_classes(self.classes_)
        train, held = inner_folds(y, groups, 8, self.random_state)[0]
        weight = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        with seeded_torch(self.random_state, self.n_jobs):
            layers = self._train(X, codes, weight, train, held)
        self.coefs_, self.intercepts_ = layers[::2], layers[1::2]
        return self

    def _train(
        self,
        X: NDArray[np.float32],
        codes: NDArray[np.int64],
        weight: NDArray[np.float64],
        train: NDArray[np.int64],
        held: NDArray[np.int64],
    ) -> list[NDArray[np.float32]]:
        import torch
        from torch import nn

        network = nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(X.shape[1], self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, len(self.classes_)),
        ).to(self.device)
        rows, labels = torch.from_numpy(X), torch.from_numpy(codes)
        loss = nn.CrossEntropyLoss(torch.from_numpy(weight).float().to(self.device))
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = self.epochs * -(-len(train) // self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        least, best, self.n_epochs_ = np.inf, [np.empty(0, np.float32)], 0
        for epoch in range(self.epochs):
            network.train()
            order = torch.from_numpy(train)[torch.randperm(len(train))]
            for batch in torch.tensor_split(order, -(-len(order) // self.batch_size)):
                optimizer.zero_grad()
                error = loss(network(rows[batch].to(self.device)), labels[batch].to(self.device))
                error.backward()
                optimizer.step()
                schedule.step()
            network.eval()
            with torch.inference_mode():
                parts = torch.tensor_split(torch.from_numpy(held), -(-len(held) // 8192))
                logits = torch.cat([network(rows[part].to(self.device)) for part in parts])
                held_loss = float(loss(logits, labels[held].to(self.device)))
            if held_loss < least or epoch == 0:
                least, self.n_epochs_ = held_loss, epoch + 1
                best = [p.detach().cpu().numpy().copy() for p in network.parameters()]
            elif epoch + 1 - self.n_epochs_ >= self.patience:
                break
        return best

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Predict probabilities. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        hidden = np.maximum(X @ self.coefs_[0].T + self.intercepts_[0], 0)
        probabilities: NDArray[np.float32] = softmax(
            hidden @ self.coefs_[1].T + self.intercepts_[1], axis=1
        )
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
