"""Upload model files to the Hugging Face Hub, and download them.

A repository contains the model file ``model.clipfeat`` and a model card, ``README.md``. A
downloaded file is checked like any other model file. A model file is data and runs no code.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from clipfeat.errors import HubError, UsageError
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.features.classes import positive_title
from clipfeat.model import MODEL_NAME, Model, load_model
from clipfeat.report.markdown import leaderboard_markdown
from clipfeat.report.remarks import model_remarks
from clipfeat.spec import titles
from clipfeat.system.escaping import markdown_text


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
        If the repository does not exist, create it as a private repository.
    token : str, optional
        Access token. None uses the token of the current login.
    endpoint : str, optional
        URL of the hub. None uses the environment variable ``HF_ENDPOINT``, or the public hub if
        this variable is not set.

    Returns
    -------
    str
        URL of the commit.

    Raises
    ------
    RefusedFileError
        If `model` is not a model file.
    UsageError
        If an encoder of the model has random weights. If the repository id is invalid.
    HubError
        If the hub is unreachable or rejects the upload.
    """
    from huggingface_hub import HfApi

    loaded = load_model(model)
    if any(spec.untrained for spec in loaded.specs):
        raise UsageError(
            f"{model} uses an encoder with random weights, so it cannot be pushed. Fit the model "
            "on features of pretrained weights"
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
    """Download a model file into the hub's cache, unless the cache already holds it.

    Parameters
    ----------
    repository : str
        Repository id, for example ``"user/name"``.
    revision : str, optional
        Branch, tag or commit. None uses the default branch.
    token, endpoint : str, optional
        As in `push`.

    Returns
    -------
    Path
        Path of the model file, after its check.

    Raises
    ------
    HubError
        If the hub is unreachable. If the repository or its model file does not exist.
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
    """Return the model card of a model: Markdown that starts with metadata for the hub.

    Parameters
    ----------
    model : Model
        The model. If it was cross-validated, the card shows its scores.
    repository : str
        Repository id, for example ``"user/name"``.

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
    positive = markdown_text(positive_title(model.classes))
    classes = markdown_text(", ".join(model.classes))
    members = markdown_text(" + ".join(model.members))
    encoders = markdown_text(" + ".join(titles(model.specs)) or "no encoder")
    lines = [
        "---", data.to_yaml(), "---", "",
        f"# {repository.rpartition('/')[2]}", "",
        f"Classifies images as {classes} with {members} on features of {encoders}{positive}. "
        f"Fitted on {markdown_text(str(about.get('images', '?')))} images with "
        "[clipfeat](https://pypi.org/project/clipfeat/).", "",
        "```sh", "pip install clipfeat",
        f"clipfeat predict $(clipfeat pull {repository}) images/ -o predictions.csv", "```", "",
    ]  # fmt: skip
    if model.scores:
        lines += [
            f"Scores of {markdown_text(str(about.get('cv', '?')))}-fold cross-validation on the "
            "training images:",
            "",
        ]
        board = Leaderboard.from_rows(model.scores)
        lines += [leaderboard_markdown(board), *map(markdown_text, board.notes), ""]
    lines += [f"- {markdown_text(remark)}" for remark in model_remarks(model)]
    for spec in model.specs:
        lines.append(f"- Encoder {markdown_text(spec.name)}, fingerprint `{spec.fingerprint}`")
    return "\n".join(lines) + "\n"


@contextmanager
def _hub_errors(action: str) -> Iterator[None]:
    """Convert the errors of huggingface_hub to clipfeat's errors.

    The message starts with `action`, such as ``"pulling from user/name"``.
    """
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise UsageError(
            f"{action} failed: the repository id is invalid: {str(error).rstrip('.')}. Use the "
            "form user/name"
        ) from error
    except Exception as error:
        # Connections, HTTP, the cache and authentication raise different types of errors.
        reason = shorten(str(error), 200, placeholder=" …") or type(error).__name__
        raise HubError(
            f"{action} failed: {reason.rstrip('.')}. Check the connection and the repository id. "
            "For a private repository, log in with `hf auth login`"
        ) from error
