"""Classify images with frozen features and classical classifiers.

The public names are loaded on first use (PEP 562). ``import clipfeat`` therefore imports neither
torch nor scikit-learn. The modules that define the functions have other names, such as
``embedding`` and ``prediction``: the import of a submodule named ``embed`` would replace the
function ``clipfeat.embed`` in this namespace.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipfeat.auditing.checking import audit
    from clipfeat.auditing.result import Audit
    from clipfeat.embedding.embed_report import EmbedReport
    from clipfeat.embedding.embed_resources import EmbedResources
    from clipfeat.embedding.image_encoder import ImageEncoder
    from clipfeat.embedding.pipeline import embed
    from clipfeat.encoders.encoder_options import EncoderOptions
    from clipfeat.ensemble import SoftVotingClassifier, soft_vote
    from clipfeat.errors import ClipfeatError
    from clipfeat.evaluate import (
        Benchmark,
        Comparison,
        FewShot,
        KFold,
        Leaderboard,
        LeaveOneOut,
        Matrix,
        OfficialSplit,
        Scores,
        TrainTest,
        benchmark,
        compare,
    )
    from clipfeat.evaluate.fitting import fit
    from clipfeat.features import FeatureSet
    from clipfeat.fits.fit_resources import FitResources
    from clipfeat.images.class_globs import ClassGlobs
    from clipfeat.images.faces import open_finder
    from clipfeat.images.faces.cropping import FaceCrops, crop_faces
    from clipfeat.images.manifest import TableColumns
    from clipfeat.images.memory import image_source
    from clipfeat.images.source_options import SourceOptions
    from clipfeat.images.video.frames import FrameSampling
    from clipfeat.labelling.queue import LabelQueue, label_queue
    from clipfeat.model import Model, load_model
    from clipfeat.prediction.adapting import adapt
    from clipfeat.prediction.contact_sheet import contact_sheet
    from clipfeat.prediction.degrading import Robustness, robustness
    from clipfeat.prediction.explaining import explain
    from clipfeat.prediction.predicting import predict
    from clipfeat.prediction.predictions import Predictions
    from clipfeat.prediction.submission import Template, fill_template
    from clipfeat.prediction.zero_shot import Prompts, zero_shot
    from clipfeat.searching.search import SearchResults, search
    from clipfeat.spec import EncoderSpec
    from clipfeat.store import load
    from clipfeat.store.streaming import stream
    from clipfeat.training.recipe import Recipe
    from clipfeat.training.result import Training
    from clipfeat.training.train import train
    from clipfeat.zoo.fit_options import FitOptions

_HOME = {
    "Audit": "auditing.result",
    "Benchmark": "evaluate",
    "ClassGlobs": "images.class_globs",
    "ClipfeatError": "errors",
    "Comparison": "evaluate",
    "EmbedReport": "embedding.embed_report",
    "EmbedResources": "embedding.embed_resources",
    "EncoderOptions": "encoders.encoder_options",
    "EncoderSpec": "spec",
    "FaceCrops": "images.faces.cropping",
    "FeatureSet": "features",
    "FewShot": "evaluate",
    "FitOptions": "zoo.fit_options",
    "FitResources": "fits.fit_resources",
    "FrameSampling": "images.video.frames",
    "ImageEncoder": "embedding.image_encoder",
    "KFold": "evaluate",
    "LabelQueue": "labelling.queue",
    "Leaderboard": "evaluate",
    "LeaveOneOut": "evaluate",
    "Matrix": "evaluate",
    "Model": "model",
    "OfficialSplit": "evaluate",
    "Predictions": "prediction.predictions",
    "Prompts": "prediction.zero_shot",
    "Recipe": "training.recipe",
    "Robustness": "prediction.degrading",
    "Scores": "evaluate",
    "SearchResults": "searching.search",
    "SoftVotingClassifier": "ensemble",
    "SourceOptions": "images.source_options",
    "TableColumns": "images.manifest",
    "Template": "prediction.submission",
    "TrainTest": "evaluate",
    "Training": "training.result",
    "adapt": "prediction.adapting",
    "audit": "auditing.checking",
    "benchmark": "evaluate",
    "compare": "evaluate",
    "contact_sheet": "prediction.contact_sheet",
    "crop_faces": "images.faces.cropping",
    "embed": "embedding.pipeline",
    "explain": "prediction.explaining",
    "fill_template": "prediction.submission",
    "fit": "evaluate.fitting",
    "image_source": "images.memory",
    "label_queue": "labelling.queue",
    "load": "store",
    "load_model": "model",
    "open_finder": "images.faces",
    "predict": "prediction.predicting",
    "robustness": "prediction.degrading",
    "search": "searching.search",
    "soft_vote": "ensemble",
    "stream": "store.streaming",
    "train": "training.train",
    "zero_shot": "prediction.zero_shot",
}

__version__ = "0.1.0"
__all__ = [
    "Audit",
    "Benchmark",
    "ClassGlobs",
    "ClipfeatError",
    "Comparison",
    "EmbedReport",
    "EmbedResources",
    "EncoderOptions",
    "EncoderSpec",
    "FaceCrops",
    "FeatureSet",
    "FewShot",
    "FitOptions",
    "FitResources",
    "FrameSampling",
    "ImageEncoder",
    "KFold",
    "LabelQueue",
    "Leaderboard",
    "LeaveOneOut",
    "Matrix",
    "Model",
    "OfficialSplit",
    "Predictions",
    "Prompts",
    "Recipe",
    "Robustness",
    "Scores",
    "SearchResults",
    "SoftVotingClassifier",
    "SourceOptions",
    "TableColumns",
    "Template",
    "TrainTest",
    "Training",
    "adapt",
    "audit",
    "benchmark",
    "compare",
    "contact_sheet",
    "crop_faces",
    "embed",
    "explain",
    "fill_template",
    "fit",
    "image_source",
    "label_queue",
    "load",
    "load_model",
    "open_finder",
    "predict",
    "robustness",
    "search",
    "soft_vote",
    "stream",
    "train",
    "zero_shot",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'clipfeat' has no attribute {name!r}")
    value = getattr(import_module(f"clipfeat.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
