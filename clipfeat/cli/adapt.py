"""``clipfeat adapt``."""

from typing import TYPE_CHECKING

from clipfeat.cli import option_types as options
from clipfeat.cli.exits import exit_on_failures, print_error_line, print_line, reports_errors
from clipfeat.cli.option_groups import expands, source_options
from clipfeat.cli.outputs import check_file
from clipfeat.embedding.embed_resources import EmbedResources

if TYPE_CHECKING:
    from clipfeat.images.source_options import SourceOptions


@reports_errors
@expands("resources", EmbedResources, options.LOCAL_EMBED_RESOURCES)
@expands("inputs", source_options, options.SOURCE_OPTIONS_OF_MODEL)
def adapt(
    model: options.ModelFile,
    source: options.AdaptationSources = None,
    *,
    unlabelled: options.Unlabelled = False,
    undo: options.Undo = False,
    output: options.AdaptedModelFile = None,
    weights: options.WeightsFiles = None,
    face_weights: options.FaceWeightsOfModel = None,
    inputs: "SourceOptions",
    resources: EmbedResources,
    device: options.Device = "auto",
    overwrite: options.OverwriteModel = False,
    max_bad: options.MaxBad = None,
    progress: options.ShowProgress = True,
) -> None:
    """Adapt a model to a new domain.

    The logits of the model are shifted so that its probabilities fit the new images. 10 to 100
    labelled images suffice. Without labels, only a change of the class frequencies is corrected.
    The model file then holds both the shifts and the original model, which --undo restores.

    Example: clipfeat adapt model.clipfeat new/ --labels labels.csv
    """
    from clipfeat.cli.console import counted
    from clipfeat.errors import UsageError
    from clipfeat.model import load_model
    from clipfeat.prediction.adapting import adapt_to
    from clipfeat.prediction.predicting import predict
    from clipfeat.report.adaptation import adaptation_remarks

    if bool(source) == undo:
        raise UsageError(
            f"either images or --undo is required, got {'both' if undo else 'neither'}. Pass only "
            "images of the new domain, or only --undo"
        )
    fitted = load_model(model)
    target = output or fitted.file or model
    check_file(target, overwrite=overwrite or output is None)
    original = fitted.original()
    if undo:
        if fitted.adaptation is None:
            raise UsageError(f"{model} has no adaptation. Leave out --undo")
        original.save(target, overwrite=True)
        print_line(f"{target}: {' + '.join(original.members)}, the original model")
        return
    predictions = predict(
        original, source or [], weights=weights or [], face_weights=face_weights, inputs=inputs,
        device=device, resources=resources, progress=progress,
    )  # fmt: skip
    adapted = adapt_to(original, predictions, unlabelled=unlabelled)
    adapted.save(target, overwrite=True)
    print_line(f"{target}: {' + '.join(adapted.members)}, adapted")
    for line in adaptation_remarks(adapted):
        print_line(line)
    if left_out := predictions.n_training:
        print_error_line(f"left out: {counted(left_out, 'training image')} of the model")
    if predictions.errors:
        path, reason = next(iter(predictions.errors.items()))
        print_error_line(
            f"{counted(len(predictions.errors), 'file')} could not be read in full, for example "
            f"{path}: {reason}"
        )
    exit_on_failures(len(predictions.errors), max_bad)
