"""A labelling session, and an application with the labelling page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipfeat.labelling.label_session import LabelSession
from tests.conftest import make_features
from tests.labelling.labelled import HOSTILE


@pytest.fixture
def session(tmp_path: Path) -> LabelSession:
    """Return a session over 60 unlabelled images, one of them with a hostile name."""
    features = make_features(30)
    paths = features.paths.astype("<U60")
    paths[0] = f"{HOSTILE}.png"
    features = replace(features, paths=paths, y=np.full(60, -1), classes=(HOSTILE, "real"))
    return LabelSession(features, tmp_path / "labels.csv", "ann")


@pytest.fixture
def application(session: LabelSession) -> Any:
    """Return an application with the page, which shows one image for every path."""
    pytest.importorskip("fastapi")
    from fastapi import Response

    from clipfeat.labelling.pages import LabelPage, add_labelling
    from clipfeat.web.access import Access
    from clipfeat.web.application import create_application

    application = create_application("test", Access())
    add_labelling(application, LabelPage(session, f"{HOSTILE}.h5", "1"))

    @application.get("/thumbnail/{row}")
    def thumbnail(row: int) -> Response:
        picture = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>"
        return Response(picture, media_type="image/svg+xml")

    return application
