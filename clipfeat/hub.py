"""Upload and download model files on the Hugging Face hub.

A repository contains ``model.clipfeat`` and a model card, ``README.md``. A downloaded file passes
the same checks as any other model file, so only trusted types are loaded.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from clipfeat.errors import HubError, UsageError
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.model import MODEL_NAME, Model, load_model
from clipfeat.report.markdown import leaderboard_markdown
from clipfeat.report.remarks import model_remarks
from clipfeat.spec import titles


def push(
    model: str | Path,
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Upload a model file and its card as a new commit.

    Parameters
    ----------
    model : path
        A model file, or a folder that contains one.
    repository : str
        Repository id, for example ``"user/name"``. It is created if it does not exist.
    private : bool
        Make a new repository private.
    token : str, optional
        Access token. None is the token of the current login.
    endpoint : str, optional
        URL of the hub. None is ``HF_ENDPOINT``, or else the public hub.

    Returns
    -------
    str
        URL of the commit.

    Raises
    ------
    RefusedFileError
        If `model` is not a model file.
    UsageError
        If an encoder of the model has random weights, or the repository id is invalid.
    HubError
        If the hub is unreachable or rejects the upload.
    """
    from huggingface_hub import HfApi

    loaded = load_model(model)
    if any(spec.untrained for spec in loaded.specs):
        raise UsageError(
            f"{model} uses an encoder with random weights. Fit a model with pretrained weights to "
            "push it"
        )
    path = Path(model)
    api = HfApi(endpoint=endpoint, token=token)
    with _hub_errors(f"pushing to {repository}"), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = (path / MODEL_NAME if path.is_dir() else path).read_bytes()
        (folder / MODEL_NAME).write_bytes(data)
        (folder / "README.md").write_text(model_card(loaded, repository), encoding="utf-8")
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Upload a model by clipfeat"
        )
    return str(commit.commit_url)


def pull(
    repository: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Path:
    """Download a model file into the hub's cache, unless it is cached.

    Parameters
    ----------
    repository : str
        Repository id, for example ``"user/name"``.
    revision : str, optional
        Branch, tag or commit. None is the default branch.
    token, endpoint : str, optional
        As in `push`.

    Returns
    -------
    Path
        The validated model file.

    Raises
    ------
    HubError
        If the hub is unreachable, or the repository or its model file does not exist.
    RefusedFileError
        If the downloaded file is not a model file.
    UsageError
        If the repository id is invalid.
    """
    from huggingface_hub import hf_hub_download

    with _hub_errors(f"pulling from {repository}"):
        file = hf_hub_download(
            repository, MODEL_NAME, revision=revision, token=token, endpoint=endpoint
        )
    load_model(file)
    return Path(file)


def model_card(model: Model, repository: str) -> str:
    """Write a model card: Markdown with the hub's metadata.

    Parameters
    ----------
    model : Model
        The model. Its scores are shown if it was cross-validated.
    repository : str
        Repository id.

    Returns
    -------
    str
        The text of ``README.md``.
    """
    from huggingface_hub import ModelCardData

    about = model.about
    data = ModelCardData(
        library_name="clipfeat",
        pipeline_tag="image-classification",
        tags=["clipfeat", "image-classification", *model.members],
    )
    lines = [
        "---", data.to_yaml(), "---", "",
        f"# {repository.rpartition('/')[2]}", "",
        f"Classifies images as {', '.join(model.classes)} with {' + '.join(model.members)} on "
        f"features of {' + '.join(titles(model.specs)) or 'no encoder'}. Fitted on "
        f"{about.get('images', '?')} images with "
        "[clipfeat](https://pypi.org/project/clipfeat/).", "",
        "```sh", "pip install clipfeat",
        f"clipfeat predict $(clipfeat pull {repository}) images/ -o predictions.csv", "```", "",
    ]  # fmt: skip
    if model.scores:
        lines += [
            f"Scores of {about.get('cv', '?')}-fold cross-validation on the training images:",
            "",
        ]
        lines += [leaderboard_markdown(Leaderboard.from_rows(model.scores)), ""]
        shown = ", ".join(METRICS[name].title for name in ("roc_auc", "calibration_error"))
        lines += [f"Mean ± standard deviation over folds ({shown} and others).", ""]
    lines += [f"- {remark}" for remark in model_remarks(model)]
    lines += [f"- Encoder {spec.name}, fingerprint `{spec.fingerprint}`" for spec in model.specs]
    return "\n".join(lines) + "\n"


@contextmanager
def _hub_errors(action: str) -> Iterator[None]:
    """Convert errors of the hub's library, with a message of one sentence."""
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise UsageError(
            f"{action}: invalid repository id: {error}. Use the form user/name"
        ) from error
    except Exception as error:
        # Requests, HTTP, the cache and authentication raise different errors.
        reason = shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise HubError(
            f"{action} failed: {reason}. For a private repository, log in with `hf auth login`"
        ) from error
