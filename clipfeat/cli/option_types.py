"""Types of the commands' options and arguments.

Each type has its flags, its help text and its help panel here and nowhere else. Two types share a
flag only if the flag differs between commands, such as ``--output`` for a file or a folder. The
commands give the defaults. This module imports nothing heavy.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from clipfeat.cli.panels import (
    AUGMENTATION,
    CLASSIFIERS,
    ENCODER,
    EVALUATION,
    INPUT,
    OUTPUT,
    PERFORMANCE,
)

input_option = partial(typer.Option, rich_help_panel=INPUT)
encoder_option = partial(typer.Option, rich_help_panel=ENCODER)
augmentation_option = partial(typer.Option, rich_help_panel=AUGMENTATION)
classifier_option = partial(typer.Option, rich_help_panel=CLASSIFIERS)
evaluation_option = partial(typer.Option, rich_help_panel=EVALUATION)
output_option = partial(typer.Option, rich_help_panel=OUTPUT)
performance_option = partial(typer.Option, rich_help_panel=PERFORMANCE)

# Arguments

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images: a folder, a CSV or Parquet table, WebDataset tar files "
        "('x-{000..099}.tar'), image or video files, or - for paths on standard input.",
    ),
]
AuditedSources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images, as for `clipfeat embed`, or feature files. Several sources are splits, such "
        "as training and test images.",
    ),
]
LabelledSources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Labelled images, as for `clipfeat embed`, that the model was not fitted on.",
    ),
]
OutputFeatures = Annotated[
    Path, typer.Argument(metavar="OUT.h5", help="Feature file to write, or to add new images to.")
]
SourcesOrFeatures = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE", help="Images, as for `clipfeat embed`, or feature files of these images."
    ),
]
FeatureFiles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FEATURES.h5",
        help="Feature files of one or more encoders, joined by image. The default is the only "
        "feature file in this folder.",
    ),
]
ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model file written by `clipfeat fit`.")
]
FeatureFile = Annotated[Path, typer.Argument(metavar="FEATURES.h5", help="Feature file.")]
MergedFiles = Annotated[
    list[Path], typer.Argument(metavar="FEATURES.h5", help="Feature files of the same encoder.")
]
ForeignFeatures = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE", help="Folder or file of features by thingsvision or clip-retrieval."
    ),
]
RunFolders = Annotated[
    list[Path], typer.Argument(metavar="RUN", help="Folders written by `clipfeat benchmark -o`.")
]
NamePattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="Part of a name, or a pattern with * and ?.")
]
AnyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Feature file or model file.")]
Repository = Annotated[
    str, typer.Argument(metavar="USER/NAME", help="Repository id on the Hugging Face hub.")
]

# Input

LabelTable = Annotated[
    Path | None,
    input_option(
        "--labels", metavar="TABLE", help="CSV or Parquet table of image paths and labels."
    ),
]
PathColumn = Annotated[
    str,
    input_option(
        "--path-col",
        metavar="COLUMN",
        help="Column of image paths in the table, if not a usual name such as path or filename.",
    ),
]
LabelColumn = Annotated[
    str,
    input_option(
        "--label-col",
        metavar="COLUMN",
        help="Column of labels in the table, if not a usual name such as label or target.",
    ),
]
GroupColumnOfTable = Annotated[
    str,
    input_option(
        "--group-col",
        metavar="COLUMN",
        help="Column of groups in the table, for example patient. Folds never split a group.",
    ),
]
GroupColumn = Annotated[
    str,
    input_option(
        "--group-col",
        metavar="COLUMN",
        help="Column of groups in the feature file, or none to ignore groups. "
        "Folds never split a group.",
    ),
]
LayersOfFeatures = Annotated[
    str | None,
    input_option(
        "--layers",
        metavar="NAMES",
        help="Layers to use from features that hold several, for example 3,6,last.",
    ),
]
FramesPerSecond = Annotated[
    float | None,
    input_option("--fps", metavar="RATE", help="Frames per second to take from each video."),
]
FrameCount = Annotated[
    int | None,
    input_option(
        "--frames",
        metavar="N",
        help="Number of evenly spaced frames to take from each video. The default is 8 unless "
        "--fps is given.",
    ),
]
Faces = Annotated[
    str | None,
    input_option(
        "--faces",
        metavar="MODE",
        help="Encode faces instead of whole images: crop (one crop around all faces), largest, or "
        "all (one row per face).",
    ),
]
FaceMargin = Annotated[
    float,
    input_option(
        "--face-margin",
        min=0.0,
        metavar="SHARE",
        help="Margin on each side of a face, as a share of its size.",
    ),
]
NoFace = Annotated[
    str,
    input_option(
        "--no-face",
        metavar="ACTION",
        help="Action for an image without a face: skip, or keep to encode the whole image.",
    ),
]
FaceWeights = Annotated[
    Path | None,
    input_option(
        "--face-weights",
        metavar="FILE",
        help="YuNet weights (.onnx) for face detection. The default is a bundled cascade.",
    ),
]
FaceWeightsOfModel = Annotated[
    Path | None,
    input_option(
        "--face-weights",
        metavar="FILE",
        help="YuNet weights (.onnx), if the model was fitted on faces that YuNet detected.",
    ),
]
TrainFiles = Annotated[
    list[Path] | None,
    input_option(
        "--train",
        metavar="FEATURES.h5",
        help="Feature file to train on, in place of the arguments. Only with --test. Repeat for "
        "several encoders.",
    ),
]
TestFiles = Annotated[
    list[Path] | None,
    input_option(
        "--test",
        metavar="FEATURES.h5",
        help="Feature file of a held-out test set. Repeat for several encoders.",
    ),
]
TrainingFeatures = Annotated[
    list[Path] | None,
    input_option(
        "--features",
        metavar="FEATURES.h5",
        help="Feature file that the model was fitted on. Repeat for several encoders. The default "
        "is the only feature file in this folder.",
    ),
]
ImagesOfFeatures = Annotated[
    list[str] | None,
    input_option(
        "--images",
        metavar="SOURCE",
        help="Images of the feature files, for checks that read image headers. Repeatable.",
    ),
]
ImageFolder = Annotated[
    Path | None,
    input_option(
        "--images",
        metavar="FOLDER",
        help="Folder of the images. Rows are then identified by content hash instead of path.",
    ),
]
ClassFolders = Annotated[
    bool,
    input_option(
        "--class-folders/--no-class-folders", help="Take the first folder of a path as its label."
    ),
]

# Encoder

EncoderName = Annotated[
    str,
    encoder_option(
        "--encoder",
        "-e",
        metavar="NAME",
        help="Encoder, for example timm:resnet50.a1_in1k. `clipfeat encoders` lists the names.",
    ),
]
WeightsFile = Annotated[
    Path | None,
    encoder_option(
        "--weights",
        metavar="FILE",
        help="Local weights (.safetensors or .pt), in place of a download from the hub.",
    ),
]
WeightsFiles = Annotated[
    list[Path] | None,
    encoder_option(
        "--weights",
        metavar="FILE",
        help="Local weights (.safetensors or .pt), in place of a download from the hub. Repeat for "
        "each encoder of the model.",
    ),
]
Untrained = Annotated[
    bool,
    encoder_option("--untrained", help="Use random weights, for tests and speed measurements."),
]
Layers = Annotated[
    str | None,
    encoder_option(
        "--layers",
        metavar="NAMES",
        help="Layers to extract, for example 3,6,last, or all. CLIP also has pre-projection.",
    ),
]
Pool = Annotated[
    str | None,
    encoder_option(
        "--pool",
        metavar="NAMES",
        help="Pooling of each layer: cls, mean, std or max. Join several with +, as in mean+std.",
    ),
]
ImageSizes = Annotated[
    str | None,
    encoder_option(
        "--image-size",
        metavar="PIXELS",
        help="Side of the encoder's input. Several, for example 32,64,128, write one feature file "
        "each.",
    ),
]
Crop = Annotated[
    str | None,
    encoder_option(
        "--crop",
        metavar="MODE",
        help="center, resize (the whole image), none (the center, not resized) or tiles (not "
        "resized, averaged). The default is the encoder's own.",
    ),
]
EncoderArguments = Annotated[
    list[str] | None,
    encoder_option(
        "--encoder-arg",
        metavar="NAME=VALUE",
        help="Argument of the architecture or its preprocessing, for example pad_type=same or "
        "crop_pct=1.0. Repeatable.",
    ),
]
Precision = Annotated[
    str,
    encoder_option(
        "--precision",
        metavar="NAME",
        help="fp32, bf16, fp16, or auto: the fastest that keeps the features within cosine 0.9995.",
    ),
]
FeatureName = Annotated[
    str,
    encoder_option(
        "--name",
        metavar="NAME",
        help="Name of the encoder that made the features, for example alexnet-fc7.",
    ),
]

# Augmentation

Views = Annotated[
    str | None,
    augmentation_option(
        "--views",
        metavar="NAMES",
        help="Comma-separated augmentations, such as hflip,jpeg75, or a YAML/JSON/TOML file. Adds "
        "one row per view.",
    ),
]
TestTimeViews = Annotated[
    str | None,
    augmentation_option(
        "--tta",
        metavar="NAMES",
        help="Comma-separated test-time augmentations, such as hflip,jpeg75, or a YAML/JSON/TOML "
        "file. Predictions are averaged over the views.",
    ),
]
Degradations = Annotated[
    str,
    augmentation_option(
        "--degrade",
        metavar="NAMES",
        help="Comma-separated degradations (jpeg, webp, blur, shrink, enlarge, crop, "
        "noise, combined), or all.",
    ),
]

# Classifiers

ModelClassifiers = Annotated[
    str,
    classifier_option(
        "--clf",
        metavar="NAMES",
        help="Comma-separated classifiers, for example logreg,svm. Several become a soft vote. "
        "`clipfeat classifiers` lists the names.",
    ),
]
ComparedClassifiers = Annotated[
    str,
    classifier_option(
        "--clf",
        metavar="NAMES",
        help="Comma-separated classifiers, for example logreg,triplet+svm, or all (the usual "
        "ones), or every (the whole zoo). `clipfeat classifiers` lists the names.",
    ),
]
Scale = Annotated[
    str,
    classifier_option(
        "--scale",
        metavar="NAME",
        help="Feature scaling of linear and distance-based classifiers: standard (each column), l2 "
        "(each row) or none.",
    ),
]
Balance = Annotated[
    str,
    classifier_option(
        "--balance", metavar="NAME", help="Class balancing: prior, weights, sampling or none."
    ),
]
Calibrate = Annotated[
    str,
    classifier_option(
        "--calibrate",
        metavar="NAME",
        help="Probability calibration: sigmoid, isotonic, temperature or none.",
    ),
]
Bag = Annotated[
    int,
    classifier_option(
        "--bag", min=0, metavar="N", help="Average the models of this many folds. 0 fits one model."
    ),
]
Threshold = Annotated[
    str | None,
    classifier_option(
        "--threshold",
        metavar="METRIC",
        help="Choose the decision threshold that maximises accuracy or balanced_accuracy.",
    ),
]
MaxFpr = Annotated[
    float | None,
    classifier_option(
        "--max-fpr",
        metavar="RATE",
        help="Choose the decision threshold so that the false positive rate is at most this value.",
    ),
]
Vote = Annotated[
    str,
    classifier_option(
        "--vote",
        metavar="NAME",
        help="How several classifiers vote: uniform, greedy, log_loss or stacking.",
    ),
]
Votes = Annotated[
    str,
    classifier_option(
        "--vote",
        metavar="NAMES",
        help="Comma-separated votes to compare (uniform, greedy, log_loss, stacking), or all.",
    ),
]
VoteWeights = Annotated[
    str,
    classifier_option(
        "--vote-weights",
        metavar="NUMBERS",
        help="Weights of the vote, one per classifier, for example 2,1,1. Used in place of --vote.",
    ),
]
ExtraVoteWeights = Annotated[
    str,
    classifier_option(
        "--vote-weights",
        metavar="NUMBERS",
        help="Weights of an additional vote, one per classifier, for example 2,1,1.",
    ),
]
Tune = Annotated[
    bool,
    classifier_option("--tune/--no-tune", help="Search the hyperparameters of each classifier."),
]

# Evaluation

FoldsOrNone = Annotated[
    int,
    evaluation_option(
        "--cv",
        min=0,
        metavar="N",
        help="Number of cross-validation folds. 0 skips cross-validation.",
    ),
]
Folds = Annotated[
    int, evaluation_option("--cv", min=2, metavar="N", help="Number of cross-validation folds.")
]
LeaveOneOutColumn = Annotated[
    str | None,
    evaluation_option(
        "--leave-one-out",
        metavar="COLUMN",
        help="Hold out each value of this column in turn, for example generator.",
    ),
]
MatrixColumn = Annotated[
    str | None,
    evaluation_option(
        "--matrix",
        metavar="COLUMN",
        help="Train on each value of this column and test on every value.",
    ),
]
FewShotSizes = Annotated[
    str,
    evaluation_option(
        "--few-shot",
        metavar="NUMBERS",
        help="Numbers of training images per class for a learning curve, for example 10,100,1000.",
    ),
]
Repeats = Annotated[
    int | None,
    evaluation_option(
        "--repeats",
        min=1,
        metavar="N",
        help="Number of repetitions, each with its own seed. The default is 1, or 5 with "
        "--few-shot.",
    ),
]
Seed = Annotated[
    int,
    evaluation_option("--seed", min=0, metavar="N", help="Random seed for folds and classifiers."),
]
SortMetric = Annotated[
    str, evaluation_option("--sort", metavar="METRIC", help="Metric that orders the leaderboard.")
]
ComparedMetric = Annotated[
    str,
    evaluation_option("--metric", metavar="METRIC", help="Metric in which the runs are compared."),
]

# Output

NewFeatureFile = Annotated[
    Path, output_option("--output", "-o", metavar="FILE", help="Feature file to write.")
]
NewModelFile = Annotated[
    Path, output_option("--output", "-o", metavar="FILE", help="Model file to write.")
]
ExportFile = Annotated[
    Path,
    output_option(
        "--output", "-o", metavar="FILE", help="Table to write, ending in .parquet, .npz or .csv."
    ),
]
PredictionsFile = Annotated[
    Path | None,
    output_option(
        "--output", "-o", metavar="FILE", help="CSV file to write. The default is standard output."
    ),
]
ComparisonFile = Annotated[
    Path | None,
    output_option(
        "--output", "-o", metavar="FILE", help="CSV file to write, besides the printed table."
    ),
]
RunFolder = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Folder for the run. The same command resumes an interrupted run.",
    ),
]
AuditFolder = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Folder for findings.csv, files.csv and audit.json.",
    ),
]
RobustnessFolder = Annotated[
    Path | None,
    output_option("--output", "-o", metavar="FOLDER", help="Folder for the table and its plots."),
]
DemoFolder = Annotated[
    Path,
    output_option(
        "--output", "-o", metavar="FOLDER", help="Folder for the images and the results."
    ),
]
HtmlPage = Annotated[
    Path | None, output_option("--html", metavar="FILE", help="HTML page with thumbnails to write.")
]
Overwrite = Annotated[bool, output_option("--overwrite", help="Replace existing output.")]
RetryFailed = Annotated[
    bool, output_option("--retry-failed", help="Retry images that are recorded as failed.")
]
Prune = Annotated[
    bool,
    output_option("--prune", help="Delete the rows of images that are no longer in the source."),
]
MaxBad = Annotated[
    int | None,
    output_option(
        "--max-bad", min=0, metavar="N", help="Exit with code 3 if more than this many images fail."
    ),
]
Template = Annotated[
    Path | None,
    output_option(
        "--template",
        metavar="TABLE",
        help="Submission template to fill in by image id, for example sample_submission.csv.",
    ),
]
Fill = Annotated[
    str,
    output_option(
        "--fill",
        metavar="KIND",
        help="Content of a template's single column: probability, class or auto.",
    ),
]
Average = Annotated[
    str,
    output_option(
        "--average",
        metavar="NAME",
        help="Average over the frames, faces and views of one file: mean or confident.",
    ),
]
PerPart = Annotated[
    bool,
    output_option("--per-part", help="Write one row per frame, face and view, without averaging."),
]
NeighbourCount = Annotated[
    int,
    output_option(
        "--neighbours", min=1, metavar="N", help="Number of nearest training images to show."
    ),
]
AuditPage = Annotated[
    bool, output_option("--audit/--no-audit", help="Audit the data for the report of --output.")
]
Thumbnails = Annotated[
    bool,
    output_option(
        "--thumbnails/--no-thumbnails", help="Show misclassified images in the report of --output."
    ),
]
RobustnessRun = Annotated[
    Path | None,
    output_option(
        "--robustness",
        metavar="FOLDER",
        help="Folder written by `clipfeat robustness -o`, to include in the report of --output.",
    ),
]
Prefer = Annotated[
    str | None,
    output_option(
        "--prefer",
        metavar="WHICH",
        help="File that wins where two contradict each other: first or last.",
    ),
]
AllFailures = Annotated[bool, output_option("--failures", help="List every failed image.")]
ShowProfile = Annotated[
    bool,
    output_option("--profile", help="Print the time spent in each stage and a recommendation."),
]
Private = Annotated[bool, output_option("--private", help="Create a private repository.")]
Revision = Annotated[
    str | None,
    input_option(
        "--revision",
        metavar="NAME",
        help="Branch, tag or commit of the repository. The default is its main branch.",
    ),
]

# Performance

BatchSize = Annotated[
    int | None,
    performance_option(
        "--batch-size",
        "-b",
        min=1,
        metavar="N",
        help="Images per forward pass. The default is measured on the first images.",
    ),
]
DecodeWorkers = Annotated[
    int | None,
    performance_option(
        "--num-workers",
        "-j",
        min=1,
        metavar="N",
        help="Workers that read and decode images. The default is the number of cores plus one.",
    ),
]
FitThreads = Annotated[
    int | None,
    performance_option(
        "--num-workers",
        "-j",
        min=1,
        metavar="N",
        help="Threads. The default is one for small data, otherwise the number of cores. On Ray, "
        "threads per fit, by default one.",
    ),
]
Device = Annotated[
    str,
    performance_option(
        "--device",
        metavar="NAMES",
        help="auto, cpu, cuda (every GPU), cuda:1 or mps. Separate several with commas.",
    ),
]
TimeLimit = Annotated[
    float | None,
    performance_option(
        "--time-limit",
        metavar="SECONDS",
        help="Time limit in seconds for all searches and fits. Needs --tune.",
    ),
]
TimeLimitPerClassifier = Annotated[
    float | None,
    performance_option(
        "--time-limit",
        metavar="SECONDS",
        help="Time limit in seconds for each classifier, over all folds and searches.",
    ),
]
Accelerate = Annotated[
    bool,
    performance_option(
        "--accelerate/--no-accelerate",
        help="Fit with scikit-learn-intelex or on a GPU, if available.",
    ),
]
OutOfCore = Annotated[
    bool | None,
    performance_option(
        "--out-of-core/--in-memory",
        help="Read features in blocks. The default does so if they need half of the memory.",
    ),
]
Engine = Annotated[
    str,
    performance_option(
        "--engine",
        metavar="NAME",
        help="local (this machine) or ray (every machine of a Ray cluster).",
    ),
]
Address = Annotated[
    str | None,
    performance_option(
        "--address",
        metavar="ADDRESS",
        help="Address of the Ray cluster, for example auto or HOST:6379. The default is "
        "RAY_ADDRESS, otherwise a cluster on this machine.",
    ),
]

# Groups

FIT_OPTIONS = {
    "scale": Scale,
    "balance": Balance,
    "calibrate": Calibrate,
    "bag": Bag,
    "tune": Tune,
    "threshold": Threshold,
    "max_fpr": MaxFpr,
    "accelerate": Accelerate,
}
"""Command-line option of each field of `clipfeat.zoo.fit_options.FitOptions`."""
