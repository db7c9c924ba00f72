"""Model files on the Hugging Face hub, each with a card that says what it is.

A repository holds ``model.clipfeat`` and ``README.md``; a folder that holds the same serves in its
place. What comes from the hub is read as any model file: nothing in it is run before it is known to
be made of trusted types.
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
    """Upload a model file with its card; what the repository held before stays in its history.

    Parameters
    ----------
    model : path
        What `Model.save` wrote, or a folder that holds it.
    repository : str
        ``"user/name"``; made if it is not there.
    private : bool
        Whether a new repository is private.
    token : str, optional
        Of the hub; by default the one that is logged in.
    endpoint : str, optional
        The hub's address; by default its own, or ``HF_ENDPOINT``.

    Returns
    -------
    str
        The address of the commit.

    Raises
    ------
    RefusedFileError
        If it is no model file.
    UsageError
        If the model's features are of random weights.
    HubError
        If the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    loaded = load_model(model)
    if any(spec.untrained for spec in loaded.specs):
        raise UsageError(f"{model} is of an encoder with random weights: it serves nobody")
    path = Path(model)
    api = HfApi(endpoint=endpoint, token=token)
    with _hub_errors(f"pushing to {repository}"), tempfile.TemporaryDirectory() as where:
        folder = Path(where)
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
    """Download a model file into the hub's cache, if it is not there.

    Parameters
    ----------
    repository : str
        ``"user/name"``.
    revision : str, optional
        A branch, a tag or a commit.
    token, endpoint : str, optional
        As for `push`.

    Returns
    -------
    Path
        The file, checked to be a whole model file.

    Raises
    ------
    HubError
        If the hub cannot be reached, or has no such repository or file.
    RefusedFileError
        If what is there is no model file.
    """
    from huggingface_hub import hf_hub_download

    with _hub_errors(f"pulling from {repository}"):
        found = hf_hub_download(
            repository, MODEL_NAME, revision=revision, token=token, endpoint=endpoint
        )
    load_model(found)
    return Path(found)


def model_card(model: Model, repository: str) -> str:
    """Write a model's card: Markdown, with the metadata that the hub reads.

    Parameters
    ----------
    model : Model
        With its scores, where it was cross-validated.
    repository : str
        Its name on the hub.
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
        f"Tells apart {', '.join(model.classes)}: {' + '.join(model.members)} on the features of "
        f"{' + '.join(titles(model.specs)) or 'no encoder'}, fitted on {about.get('images', '?')} "
        "images by [clipfeat](https://pypi.org/project/clipfeat/).", "",
        "```sh", "pip install clipfeat",
        f"clipfeat predict $(clipfeat pull {repository}) images/ -o predictions.csv", "```", "",
    ]  # fmt: skip
    if model.scores:
        lines += [f"{about.get('cv', '?')}-fold cross-validation on the training images:", ""]
        lines += [leaderboard_markdown(Leaderboard.from_rows(model.scores)), ""]
        shown = ", ".join(METRICS[name].title for name in ("roc_auc", "calibration_error"))
        lines += [f"Mean ± standard deviation over folds ({shown} and others).", ""]
    lines += [f"- {remark}" for remark in model_remarks(model)]
    lines += [f"- encoder {spec.name}, fingerprint `{spec.fingerprint}`" for spec in model.specs]
    return "\n".join(lines) + "\n"


@contextmanager
def _hub_errors(doing: str) -> Iterator[None]:
    """Say in one sentence what the hub's library raises."""
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"{doing}: a repository is named user/name: {error}") from error
    except Exception as error:
        # Requests, HTTP, the cache and authentication have each an error of their own.
        reason = shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise HubError(
            f"{doing} failed: {reason}; log in by `hf auth login` if it is private"
        ) from error
