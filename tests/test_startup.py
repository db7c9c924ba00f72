"""Tests of the start-up time and of public names."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "sklearn", "timm", "open_clip", "h5py", "pandas", "lightgbm", "xgboost", "PIL",
         "matplotlib", "ray"}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    return {name.partition(".")[0] for name in modules_of(code)}


def modules_of(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import clipfeat",
        "import clipfeat.encoders.encoder_options",
        "from clipfeat.cli import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0",
        "from clipfeat.cli import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['embed', '--help']).exit_code == 0",
    ],
    ids=["import", "encoder options", "help", "command help"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    """Importing clipfeat and showing a help page load no large library."""
    assert not loaded_by(code) & HEAVY


def test_option_types_import_nothing_heavy() -> None:
    """The module of shared option types imports neither torch nor pandas."""
    assert not loaded_by("import clipfeat.cli.option_types") & (HEAVY | {"numpy"})


def test_a_decoding_process_imports_no_image_source() -> None:
    """Every command that reads images starts such processes, so their imports must be few."""
    modules = modules_of("import clipfeat.images.decoder_process")
    assert "clipfeat.images.decode" in modules
    assert not modules & {"clipfeat.images.source_registry", "clipfeat.features", "csv"}


def test_public_names_resolve_after_imports_of_submodules() -> None:
    """Every public name resolves, even if its submodules were imported before."""
    import clipfeat.embedding.pipeline
    import clipfeat.evaluate.benchmarking
    import clipfeat.prediction.predicting

    assert all(getattr(clipfeat, name) is not None for name in clipfeat.__all__)
    assert callable(clipfeat.embed)
    assert callable(clipfeat.benchmark)
    assert set(dir(clipfeat)) == set(clipfeat.__all__)
    with pytest.raises(AttributeError, match="no attribute 'embedder'"):
        _ = clipfeat.embedder
