"""Upload model files to the Hugging Face Hub, and download them.

A repository contains the model file ``model.clipfeat`` and a model card, ``README.md``. A
downloaded file is checked like any other model file. A model file is data and runs no code.

`pull` does not call `huggingface_hub.hf_hub_download`, which uses the ETag of a file as a file
name. A malicious server could write outside the cache with an absolute path or ``..`` (seen with
version 2.4.0). The path that `pull` writes to contains only one text from the server: the commit,
which must have 40 hexadecimal digits.
"""

import hashlib
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from textwrap import shorten
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from clipfeat.errors import HubError, RefusedFileError, StorageError, UsageError
from clipfeat.evaluate.leaderboard import Leaderboard
from clipfeat.features.classes import positive_title
from clipfeat.model import MODEL_NAME, Model, load_model
from clipfeat.report.markdown import leaderboard_markdown
from clipfeat.report.remarks import model_remarks
from clipfeat.spec import titles
from clipfeat.system.escaping import markdown_text
from clipfeat.system.files import (
    flush,
    publish,
    read_regular,
    storage_errors,
    temporary_name,
)
from clipfeat.system.progress import Phase, Report, reporting
from clipfeat.system.user_cache import user_cache

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAX_MODEL = 2**32
"""Maximum number of bytes of a downloaded model file."""
SILENCE = 30.0
"""Seconds that the hub may take to accept a connection, or to send the next bytes."""
MAX_COMMIT = 100
"""Maximum size of the file with the name of a commit in bytes."""
PATIENCE, LEAST_RATE = 60.0, 2**13
"""A download may take `PATIENCE` seconds, plus one second for each `LEAST_RATE` bytes.

Each answer must begin within `PATIENCE` seconds."""
MAX_REDIRECTIONS = 5

T = TypeVar("T")


def push(
    model: str | Path,
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    progress: bool | Report = True,
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
    progress : bool or callable
        Show the progress on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

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

    with reporting(progress) as report, _without_own_bars():
        report(Phase("loading", detail=str(model)))
        return _push(
            load_model(model),
            model,
            HfApi(endpoint=endpoint, token=token),
            repository,
            private=private,
            report=report,
        )


def _push(
    loaded: Model,
    model: str | Path,
    api: "HfApi",
    repository: str,
    *,
    private: bool,
    report: Report,
) -> str:
    if any(spec.untrained for spec in loaded.specs):
        raise UsageError(
            f"{model} uses an encoder with random weights, so it cannot be pushed. Fit the model "
            "on features from pretrained weights"
        )
    path = Path(model)
    with _hub_errors(f"pushing to {repository}"), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = (path / MODEL_NAME if path.is_dir() else path).read_bytes()
        (folder / MODEL_NAME).write_bytes(data)
        (folder / "README.md").write_text(model_card(loaded, repository), encoding="utf-8")
        report(Phase("uploading", detail=f"{len(data) / 2**20:.1f} MiB to {repository}"))
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
    progress: bool | Report = True,
) -> Path:
    """Download a model file into the user's cache, unless the cache already holds its commit.

    If the hub is unreachable, the cached file of the last call with this revision is used, with a
    warning.

    Parameters
    ----------
    repository : str
        Repository id, for example ``"user/name"``.
    revision : str, optional
        Branch, tag or commit. None uses the default branch.
    token, endpoint : str, optional
        As in `push`.
    progress : bool or callable
        Show the progress on standard error, or pass a function that receives each `Phase`.

    Returns
    -------
    Path
        Path of the model file, after its check.

    Raises
    ------
    HubError
        If the hub is unreachable and the file is not in the cache. If the repository or its model
        file does not exist. If the server sends an invalid commit, more than `MAX_MODEL` bytes, or
        fewer bytes per second than `LEAST_RATE`.
    RefusedFileError
        If the downloaded file is not a model file. It is then deleted.
    StorageError
        If the file cannot be written into the cache.
    UsageError
        If the repository id is invalid.
    """
    from huggingface_hub import hf_hub_url

    with _hub_errors(f"pulling from {repository}"), reporting(progress) as report:
        url = hf_hub_url(repository, MODEL_NAME, revision=revision, endpoint=endpoint)
        folder = user_cache() / "models" / repository.replace("/", "--")
        report(Phase("connecting", detail=repository))
        commit = _commit(url, token, folder)
        file = folder / commit / MODEL_NAME
        if not file.exists():
            _download(url, token, file, report)
    load_model(file)
    return file


def _commit(url: str, token: str | None, folder: Path) -> str:
    """Return the commit of a file. If the hub is unreachable, return the commit of the last call.

    Parameters
    ----------
    url : str
        Address of the file.
    token : str, optional
        Access token.
    folder : Path
        The repository's folder in the cache, which stores the commit of each address.
    """
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError

    stored = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.commit"
    try:
        metadata = _within(PATIENCE, lambda: get_hf_file_metadata(url, token=token))
        commit = str(metadata.commit_hash)
    except HfHubHTTPError:
        raise
    except Exception as error:  # the client library has its own exceptions for connections
        if not stored.exists():
            raise
        commit = read_regular(stored, MAX_COMMIT).decode("ascii", "replace")
        _check_commit(commit)
        warnings.warn(
            f"the hub is unreachable ({shorten(str(error), 100)}). Using commit {commit[:10]}, "
            "which was downloaded earlier",
            stacklevel=2,
        )
        return commit
    _check_commit(commit)
    with storage_errors(f"writing into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    publish(commit.encode(), stored)
    return commit


def _check_commit(commit: str) -> None:
    """Raise ValueError for an invalid commit, because a commit becomes the name of a folder."""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(
            f"expected a commit of 40 hexadecimal digits, got {shorten(commit, 60)!r}. The server "
            "is not a Hugging Face hub, or it is malicious"
        )


def _download(url: str, token: str | None, file: Path, report: Report) -> None:
    """Download a model file, check it, and move it to `file`."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not in __all__
        build_hf_headers,
    )

    with storage_errors(f"writing into {file.parent}"):
        file.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(file)
    headers = {**build_hf_headers(token=token), "Accept-Encoding": "identity"}
    begun = time.monotonic()
    n_bytes = 0
    try:
        with (
            closing(_within(PATIENCE, lambda: _opened(url, headers))) as response,
            temporary.open("xb") as out,
        ):
            for block in response.iter_raw():
                n_bytes += len(block)
                seconds = time.monotonic() - begun
                if n_bytes > MAX_MODEL:
                    raise ValueError(f"the file has more bytes than the limit of {MAX_MODEL:,}")
                if seconds > PATIENCE + n_bytes / LEAST_RATE:
                    raise TimeoutError(f"the server sent {n_bytes:,} bytes in {seconds:.0f} s")
                with storage_errors(f"writing {temporary}"):
                    out.write(block)
                report(Phase("downloading", n_bytes // 2**20, unit="MiB", detail=file.name))
        load_model(temporary)
        with storage_errors(f"writing {file}"):
            flush(temporary)
            temporary.replace(file)
            flush(file.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _opened(url: str, headers: Mapping[str, str]) -> Any:
    """Return the answer to a request, whose body is not read yet.

    The bodies of redirections and errors are not read, because they may be endless.
    """
    from huggingface_hub import get_session

    session = get_session()
    request = session.build_request("GET", url, headers=headers, timeout=SILENCE)
    for _ in range(MAX_REDIRECTIONS + 1):
        response = session.send(request, stream=True, follow_redirects=False)
        if response.status_code == 200:
            return response
        response.close()
        if response.next_request is None:
            raise ValueError(f"the server answers with status {response.status_code}")
        request = response.next_request
    raise ValueError(f"the server sends more than {MAX_REDIRECTIONS} redirections")


def _within(seconds: float, function: Callable[[], T]) -> T:
    """Call a function in a thread, and return its result.

    The client library limits the time of each read, but not of all headers of an answer.

    Raises
    ------
    TimeoutError
        If the function takes longer. The thread is left running.
    """
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def call() -> None:
        try:
            results.put((function(), None))
        except BaseException as error:
            results.put((None, error))

    Thread(target=call, daemon=True, name="hub").start()
    try:
        value, error = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"the server did not answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


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
def _without_own_bars() -> Iterator[None]:
    """Turn off the bars of huggingface_hub, unless the user's environment sets them."""
    from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, not in __all__
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def _hub_errors(action: str) -> Iterator[None]:
    """Convert the errors of huggingface_hub to clipfeat's errors.

    The message starts with `action`, such as ``"pulling from user/name"``.
    """
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (RefusedFileError, StorageError):
        raise
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
