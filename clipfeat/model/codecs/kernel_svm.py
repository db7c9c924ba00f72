"""Codecs of the SVM with RBF kernel, and of Nyström's approximation of the kernel."""

import numpy as np
from sklearn.kernel_approximation import Nystroem

from clipfeat.model.codecs.codec import Codec
from clipfeat.model.container import DamagedModelError
from clipfeat.model.nodes import NodeReader, NodeWriter, same_classes
from clipfeat.zoo.svm import AcceleratedSVC

SHAPES = ("ovr", "ovo")


def _write_svc(svc: AcceleratedSVC, node: NodeWriter) -> None:
    node.classes(svc.classes_)
    node.put("decision_function_shape", svc.decision_function_shape)
    if hasattr(svc, "large_"):
        node.child("large", svc.large_)
        return
    node.put("gamma", float(svc._gamma))
    node.array("n_support", svc.n_support_, "int32")
    node.array("support", svc.support_, "int32")
    node.doubles("support_vectors", svc.support_vectors_)
    node.doubles("dual_coef", svc.dual_coef_)
    node.doubles("intercept", svc.intercept_)


def _read_svc(node: NodeReader) -> AcceleratedSVC:
    svc = AcceleratedSVC(decision_function_shape=node.choice("decision_function_shape", SHAPES))
    classes = svc.classes_ = node.classes()
    svc.shape_fit_ = (0, node.n_features)
    if node.has("large"):
        svc.large_ = node.child("large")
        same_classes(node, [svc.large_], classes)
        if not hasattr(svc.large_, "decision_function"):
            raise DamagedModelError(f"{node.path} contains a classifier without decision function")
        return svc
    k = len(classes)
    svc._n_support = node.array("n_support", (k,), ["int32"], least=0, most=2**31 - 1)
    n = int(svc._n_support.sum(dtype=np.int64))
    svc.support_ = node.array("support", (n,), ["int32"], least=0, most=2**31 - 1)
    svc.support_vectors_ = node.doubles("support_vectors", (n, node.n_features))
    svc.dual_coef_ = node.doubles("dual_coef", (k - 1, n))
    svc.intercept_ = node.doubles("intercept", (k * (k - 1) // 2,))
    if n == 0:
        raise DamagedModelError(f"{node.path} has no support vectors")
    svc._gamma = node.positive("gamma")
    # For two classes, libsvm uses the opposite sign; see `clipfeat.zoo.svm`.
    sign = -1.0 if k == 2 else 1.0
    svc._dual_coef_, svc._intercept_ = sign * svc.dual_coef_, sign * svc.intercept_
    svc._probA = svc._probB = np.empty(0)
    svc._sparse = svc._effective_probability = False
    svc.fit_status_ = 0
    return svc


def _write_nystroem(basis: Nystroem, node: NodeWriter) -> None:
    node.put("gamma", float(basis.gamma))
    node.array("components", basis.components_)
    node.array("normalization", basis.normalization_)


def _read_nystroem(node: NodeReader) -> Nystroem:
    basis = Nystroem(gamma=node.positive("gamma"))
    basis.components_ = node.array("components", (None, node.n_features))
    n = basis.n_components = basis._n_features_out = len(basis.components_)
    basis.normalization_ = node.array("normalization", (n, n))
    return basis


SVC = Codec(AcceleratedSVC, _write_svc, _read_svc)
NYSTROEM = Codec(Nystroem, _write_nystroem, _read_nystroem)
