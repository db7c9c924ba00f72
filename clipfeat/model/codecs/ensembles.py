"""Codecs of votes and stacks."""

from typing import Any

import numpy as np

from clipfeat.ensemble import SoftVotingClassifier, StackedClassifier
from clipfeat.model.codecs.codec import Codec
from clipfeat.model.container import DamagedModelError
from clipfeat.model.format import MAX_MEMBER_CLASSES
from clipfeat.model.nodes import NodeReader, NodeWriter, same_classes, some_classes


def _write_members(ensemble: Any, node: NodeWriter) -> None:
    node.classes(ensemble.classes_)
    node.put("names", list(ensemble.estimators_))
    node.children("estimators", list(ensemble.estimators_.values()))


def _read_members(node: NodeReader) -> tuple[Any, dict[str, Any]]:
    """Read the labels of an ensemble and its members by name."""
    classes, names, estimators = node.classes(), node.names("names"), node.children("estimators")
    if len(names) != len(estimators):
        raise DamagedModelError(
            f"{node.path} has {len(estimators)} members, but {len(names)} names"
        )
    if len(names) * len(classes) > MAX_MEMBER_CLASSES:
        raise DamagedModelError(
            f"{node.path} has {len(names)} members for {len(classes)} classes. The product must "
            f"not be above {MAX_MEMBER_CLASSES:,}"
        )
    members = dict(zip(names, estimators, strict=True))
    some_classes(node, members, classes)
    return classes, members


def _write_vote(vote: SoftVotingClassifier, node: NodeWriter) -> None:
    _write_members(vote, node)
    node.doubles("weights", [weight for weight in vote._weights() if weight > 0])


def _read_vote(node: NodeReader) -> SoftVotingClassifier:
    classes, members = _read_members(node)
    weights = node.doubles("weights", (len(members),), least=1e-12, most=1e12)
    vote = SoftVotingClassifier(list(members.items()), weights=weights.tolist())
    vote.classes_, vote.estimators_ = classes, members
    return vote


def _write_stack(stack: StackedClassifier, node: NodeWriter) -> None:
    _write_members(stack, node)
    node.child("blend", stack.blend_)


def _read_stack(node: NodeReader) -> StackedClassifier:
    classes, members = _read_members(node)
    width = len(members) * (1 if len(classes) == 2 else len(classes))
    blend = node.child("blend", width)
    same_classes(node, [blend], np.asarray(classes))
    stack = StackedClassifier(list(members.items()))
    stack.classes_, stack.estimators_, stack.blend_ = classes, members, blend
    return stack


SOFT_VOTE = Codec(SoftVotingClassifier, _write_vote, _read_vote)
STACK = Codec(StackedClassifier, _write_stack, _read_stack)
