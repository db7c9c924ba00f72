"""Tests of pivot tables."""

import numpy as np

from clipfeat.evaluate import FewShot, LeaveOneOut, Matrix, benchmark
from clipfeat.evaluate.pivots import pivots
from clipfeat.report.markdown import pivot_markdown
from tests.evaluate.test_protocols import generators


def test_each_protocol_has_its_table() -> None:
    """Cells are means of the tidy rows. K-fold cross-validation has no pivot table."""
    data = generators()
    few = benchmark(data, "logreg,knn", protocol=FewShot([3, 6], repeats=2, n_splits=3))
    (curve,) = pivots(few.rows, "accuracy", few.entries)
    assert (curve.down, curve.across) == (few.entries, ["3", "6"])
    table = few.to_pandas().query("classifier == 'knn' and metric == 'accuracy' and n_train == 6")
    assert np.allclose(curve.cells["knn", "6"], (table.value.mean(), table.value.std()))

    each = benchmark(data, "logreg", protocol=Matrix("generator", 3))
    (matrix,) = pivots(each.rows, "accuracy", each.entries, "generator")
    assert matrix.down == matrix.across == ["a", "b", "c"]
    assert len(matrix.cells) == 9

    left = benchmark(data, "logreg", protocol=LeaveOneOut("generator"))
    (out,) = pivots(left.rows, "accuracy", left.entries, "generator")
    assert out.across == ["a", "b", "c"]
    assert pivot_markdown(out).count("\n") == 5

    assert pivots(benchmark(data, "logreg", protocol=3).rows, "accuracy", ["logreg"]) == []
