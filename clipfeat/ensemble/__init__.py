"""Ensembles of classifiers: soft votes, votes with learned weights, and stacking."""

from clipfeat.ensemble.stacking import StackedClassifier
from clipfeat.ensemble.vote import SoftVotingClassifier, align, soft_vote
from clipfeat.ensemble.vote_weights import learn_weights

__all__ = ["SoftVotingClassifier", "StackedClassifier", "align", "learn_weights", "soft_vote"]
