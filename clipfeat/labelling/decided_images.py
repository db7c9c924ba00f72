"""Which decisions are about the images of a feature set.

A decision names the path and the content hash of an image. Several feature files may share a file
of decisions, and each may have another image with the same path.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from clipfeat.errors import ClipfeatError, RefusedFileError
from clipfeat.features import FeatureSet
from clipfeat.features.decisions import Decision
from clipfeat.features.face_keys import FIRST_FACE, hex_face_key
from clipfeat.labelling.label_log import has_content_hashes
from clipfeat.store import load
from clipfeat.store.loading import feature_files_in


class DecidedImages:
    """Index of the images of features by path.

    Parameters
    ----------
    features : FeatureSet
        The features. A file may have several rows.
    """

    def __init__(self, features: FeatureSet) -> None:
        self._files = features.files
        self._keys = features.keys
        self._faces = features.columns.get("face")
        self._times = features.columns.get("time")

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for row, file in enumerate(self._files.tolist()):
            rows.setdefault(file, []).append(row)
        return rows

    def key(self, row: int) -> str:
        """Return the content hash for a decision about a row.

        It is empty for a frame of a video, because other feature files may have other frames.
        """
        return "" if self._is_frame(row) else str(self._keys[row].decode())

    def has(self, decision: Decision) -> bool:
        """Return whether a decision is about one of the images.

        Decisions without a content hash are about each image with their path.
        """
        rows = self._rows.get(decision.path, [])
        return bool(rows) and (
            not decision.key or any(self._is_same(row, decision.key) for row in rows)
        )

    def has_another(self, decision: Decision) -> bool:
        """Return whether one of the images has the path of a decision, but other content."""
        return decision.path in self._rows and not self.has(decision)

    def _is_frame(self, row: int) -> bool:
        return self._times is not None and bool(self._times[row])

    def _is_same(self, row: int, key: str) -> bool:
        """Return whether a row is of the image with a content hash.

        The features of either side may be those of a face in the image.
        """
        own = self._keys[row].decode()
        if own == key or self._is_frame(row):
            return True
        face = "" if self._faces is None else str(self._faces[row])
        if face.isdecimal():
            return bool(own == hex_face_key(key, face))
        return hex_face_key(own, FIRST_FACE) == key


def check_shared_label_file(
    file: str | Path, features: FeatureSet, files: Sequence[str | Path]
) -> None:
    """Check that decisions without content hashes cannot label images of another feature file.

    Parameters
    ----------
    file : path
        File of decisions beside the feature files. Only files of earlier versions are checked.
    features : FeatureSet
        The features.
    files : sequence of path
        The feature files of `features`.

    Raises
    ------
    RefusedFileError
        If another feature file in the folder has an image with the same path and other content.
    """
    if has_content_hashes(file):
        return
    own = {Path(one).resolve() for one in files}
    images = DecidedImages(features)
    for other in feature_files_in(Path(files[0]).absolute().parent):
        if other.resolve() in own:
            continue
        try:
            theirs = load(other)
        except ClipfeatError:  # a damaged file
            continue
        index = DecidedImages(theirs)
        pairs = zip(theirs.files.tolist(), map(index.key, range(len(theirs))), strict=True)
        another = (
            path for path, key in pairs if images.has_another(Decision(path, "", "", key=key))
        )
        if path := next(another, ""):
            raise RefusedFileError(
                f"the labels in {file} are from an earlier version without content hashes. The "
                f"path {path!r} is one image in this feature file and another one in {other.name}, "
                "in the same folder, so the label could be of either. Pass another file with "
                "--label-file"
            )
