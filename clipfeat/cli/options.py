"""Types of the commands' options and arguments.

Each type has its flags, its help text and its help panel here and nowhere else. Two types share a
flag only if the flag differs between commands, such as ``--output`` for a file or a folder. The
commands give the defaults. This module imports nothing heavy.
"""

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
    Path,
    typer.Argument(metavar="OUT.h5", help="Feature file to write, or to add new images to."),
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
    list[Path],
    typer.Argument(metavar="FEATURES.h5", help="Feature files of the same encoder."),
]
ForeignFeatures = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE", help="Folder or file of features by thingsvision or clip-retrieval."
    ),
]
RunFolders = Annotated[
    list[Path],
    typer.Argument(metavar="RUN", help="Folders written by `clipfeat benchmark -o`."),
]
NamePattern = Annotated[
    str,
    typer.Argument(metavar="PATTERN", help="Part of a name, or a pattern with * and ?."),
]
AnyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Feature file or model file.")]
Repository = Annotated[
    str, typer.Argument(metavar="USER/NAME", help="Repository id on the Hugging Face hub.")
]

# Input

LabelTable = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="TABLE",
        rich_help_panel=INPUT,
        help="CSV or Parquet table of image paths and labels.",
    ),
]
PathColumn = Annotated[
    str,
    typer.Option(
        "--path-col",
        metavar="COLUMN",
        rich_help_panel=INPUT,
        help="Column of image paths in the table, if not a usual name such as path or filename.",
    ),
]
LabelColumn = Annotated[
    str,
    typer.Option(
        "--label-col",
        metavar="COLUMN",
        rich_help_panel=INPUT,
        help="Column of labels in the table, if not a usual name such as label or target.",
    ),
]
GroupColumnOfTable = Annotated[
    str,
    typer.Option(
        "--group-col",
        metavar="COLUMN",
        rich_help_panel=INPUT,
        help="Column of groups in the table, for example patient. Folds never split a group.",
    ),
]
GroupColumn = Annotated[
    str,
    typer.Option(
        "--group-col",
        metavar="COLUMN",
        rich_help_panel=INPUT,
        help="Column of groups in the feature file. Folds never split a group. none disables "
        "groups.",
    ),
]
LayersOfFeatures = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="NAMES",
        rich_help_panel=INPUT,
        help="Layers to use from features that hold several, for example 3,6,last.",
    ),
]
FramesPerSecond = Annotated[
    float | None,
    typer.Option(
        "--fps",
        metavar="RATE",
        rich_help_panel=INPUT,
        help="Frames per second to take from each video.",
    ),
]
FrameCount = Annotated[
    int | None,
    typer.Option(
        "--frames",
        metavar="N",
        rich_help_panel=INPUT,
        help="Number of evenly spaced frames to take from each video. The default is 8 unless "
        "--fps is given.",
    ),
]
Faces = Annotated[
    str | None,
    typer.Option(
        "--faces",
        metavar="MODE",
        rich_help_panel=INPUT,
        help="Encode faces instead of whole images: crop (one crop around all faces), largest, or "
        "all (one row per face).",
    ),
]
FaceMargin = Annotated[
    float,
    typer.Option(
        "--face-margin",
        min=0.0,
        metavar="SHARE",
        rich_help_panel=INPUT,
        help="Margin on each side of a face, as a share of its size.",
    ),
]
NoFace = Annotated[
    str,
    typer.Option(
        "--no-face",
        metavar="ACTION",
        rich_help_panel=INPUT,
        help="Action for an image without a face: skip, or keep to encode the whole image.",
    ),
]
FaceWeights = Annotated[
    Path | None,
    typer.Option(
        "--face-weights",
        metavar="FILE",
        rich_help_panel=INPUT,
        help="YuNet weights (.onnx) for face detection. The default is a bundled cascade.",
    ),
]
FaceWeightsOfModel = Annotated[
    Path | None,
    typer.Option(
        "--face-weights",
        metavar="FILE",
        rich_help_panel=INPUT,
        help="YuNet weights (.onnx), if the model was fitted on faces that YuNet detected.",
    ),
]
TrainFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--train",
        metavar="FEATURES.h5",
        rich_help_panel=INPUT,
        help="Feature file to train on, in place of the arguments. Only with --test. Repeat for "
        "several encoders.",
    ),
]
TestFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--test",
        metavar="FEATURES.h5",
        rich_help_panel=INPUT,
        help="Feature file of a held-out test set. Repeat for several encoders.",
    ),
]
TrainingFeatures = Annotated[
    list[Path] | None,
    typer.Option(
        "--features",
        metavar="FEATURES.h5",
        rich_help_panel=INPUT,
        help="Feature file that the model was fitted on. Repeat for several encoders. The default "
        "is the only feature file in this folder.",
    ),
]
ImagesOfFeatures = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="SOURCE",
        rich_help_panel=INPUT,
        help="Images of the feature files, for checks that read image headers. Repeatable.",
    ),
]
ImageFolder = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="FOLDER",
        rich_help_panel=INPUT,
        help="Folder of the images. Rows are then identified by content hash instead of path.",
    ),
]
ClassFolders = Annotated[
    bool,
    typer.Option(
        "--class-folders/--no-class-folders",
        rich_help_panel=INPUT,
        help="Take the first folder of a path as its label.",
    ),
]

# Encoder

EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder",
        "-e",
        metavar="NAME",
        rich_help_panel=ENCODER,
        help="Encoder, for example timm:resnet50.a1_in1k. `clipfeat encoders` lists the names.",
    ),
]
WeightsFile = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        rich_help_panel=ENCODER,
        help="Local weights (.safetensors or .pt), in place of a download from the hub.",
    ),
]
WeightsFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        rich_help_panel=ENCODER,
        help="Local weights (.safetensors or .pt), in place of a download from the hub. Repeat for "
        "each encoder of the model.",
    ),
]
Untrained = Annotated[
    bool,
    typer.Option(
        "--untrained",
        rich_help_panel=ENCODER,
        help="Use random weights, for tests and speed measurements.",
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="NAMES",
        rich_help_panel=ENCODER,
        help="Layers to extract, for example 3,6,last, or all. CLIP also has pre-projection.",
    ),
]
Pool = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="NAMES",
        rich_help_panel=ENCODER,
        help="Pooling of each layer: cls, mean, std or max. Join several with +, as in mean+std.",
    ),
]
ImageSizes = Annotated[
    str | None,
    typer.Option(
        "--image-size",
        metavar="PIXELS",
        rich_help_panel=ENCODER,
        help="Side of the encoder's input. Several, for example 32,64,128, write one feature file "
        "each.",
    ),
]
Crop = Annotated[
    str | None,
    typer.Option(
        "--crop",
        metavar="MODE",
        rich_help_panel=ENCODER,
        help="center, resize (the whole image), none (the center, not resized) or tiles (not "
        "resized, averaged). The default is the encoder's own.",
    ),
]
EncoderArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-arg",
        metavar="NAME=VALUE",
        rich_help_panel=ENCODER,
        help="Argument of the architecture or its preprocessing, for example pad_type=same or "
        "crop_pct=1.0. Repeatable.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        rich_help_panel=ENCODER,
        help="fp32, bf16, fp16, or auto: the fastest that keeps the features within cosine 0.9995.",
    ),
]
FeatureName = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        rich_help_panel=ENCODER,
        help="Name of the encoder that made the features, for example alexnet-fc7.",
    ),
]

# Augmentation

Views = Annotated[
    str | None,
    typer.Option(
        "--views",
        metavar="NAMES",
        rich_help_panel=AUGMENTATION,
        help="Comma-separated augmentations, such as hflip,jpeg75, or a YAML/JSON/TOML file. Adds "
        "one row per view.",
    ),
]
TestTimeViews = Annotated[
    str | None,
    typer.Option(
        "--tta",
        metavar="NAMES",
        rich_help_panel=AUGMENTATION,
        help="Comma-separated test-time augmentations, such as hflip,jpeg75, or a YAML/JSON/TOML "
        "file. Predictions are averaged over the views.",
    ),
]
Degradations = Annotated[
    str,
    typer.Option(
        "--degrade",
        metavar="NAMES",
        rich_help_panel=AUGMENTATION,
        help="Comma-separated degradations: jpeg, webp, blur, shrink, enlarge, crop, noise, "
        "combined. all selects every one.",
    ),
]

# Classifiers

ModelClassifiers = Annotated[
    str,
    typer.Option(
        "--clf",
        metavar="NAMES",
        rich_help_panel=CLASSIFIERS,
        help="Comma-separated classifiers, for example logreg,svm. Several become a soft vote. "
        "`clipfeat classifiers` lists the names.",
    ),
]
ComparedClassifiers = Annotated[
    str,
    typer.Option(
        "--clf",
        metavar="NAMES",
        rich_help_panel=CLASSIFIERS,
        help="Comma-separated classifiers, for example logreg,triplet+svm. all selects the usual "
        "ones, every selects the whole zoo. `clipfeat classifiers` lists the names.",
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        "--scale",
        metavar="NAME",
        rich_help_panel=CLASSIFIERS,
        help="Feature scaling of linear and distance-based classifiers: standard (each column), l2 "
        "(each row) or none.",
    ),
]
Balance = Annotated[
    str,
    typer.Option(
        "--balance",
        metavar="NAME",
        rich_help_panel=CLASSIFIERS,
        help="Class balancing: prior, weights, sampling or none.",
    ),
]
Calibrate = Annotated[
    str,
    typer.Option(
        "--calibrate",
        metavar="NAME",
        rich_help_panel=CLASSIFIERS,
        help="Probability calibration: sigmoid, isotonic, temperature or none.",
    ),
]
Bag = Annotated[
    int,
    typer.Option(
        "--bag",
        min=0,
        metavar="N",
        rich_help_panel=CLASSIFIERS,
        help="Average the models of this many folds. 0 fits one model.",
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        "--threshold",
        metavar="METRIC",
        rich_help_panel=CLASSIFIERS,
        help="Choose the decision threshold that maximises accuracy or balanced_accuracy.",
    ),
]
MaxFpr = Annotated[
    float | None,
    typer.Option(
        "--max-fpr",
        metavar="RATE",
        rich_help_panel=CLASSIFIERS,
        help="Choose the decision threshold so that the false positive rate is at most this value.",
    ),
]
Vote = Annotated[
    str,
    typer.Option(
        "--vote",
        metavar="NAME",
        rich_help_panel=CLASSIFIERS,
        help="How several classifiers vote: uniform, greedy, log_loss or stacking.",
    ),
]
Votes = Annotated[
    str,
    typer.Option(
        "--vote",
        metavar="NAMES",
        rich_help_panel=CLASSIFIERS,
        help="Comma-separated votes to compare: uniform, greedy, log_loss, stacking. all selects "
        "every one.",
    ),
]
VoteWeights = Annotated[
    str,
    typer.Option(
        "--vote-weights",
        metavar="NUMBERS",
        rich_help_panel=CLASSIFIERS,
        help="Weights of the vote, one per classifier, for example 2,1,1. Used in place of --vote.",
    ),
]
ExtraVoteWeights = Annotated[
    str,
    typer.Option(
        "--vote-weights",
        metavar="NUMBERS",
        rich_help_panel=CLASSIFIERS,
        help="Weights of an additional vote, one per classifier, for example 2,1,1.",
    ),
]
Tune = Annotated[
    bool,
    typer.Option(
        "--tune/--no-tune",
        rich_help_panel=CLASSIFIERS,
        help="Search the hyperparameters of each classifier.",
    ),
]

# Evaluation

FoldsOrNone = Annotated[
    int,
    typer.Option(
        "--cv",
        min=0,
        metavar="N",
        rich_help_panel=EVALUATION,
        help="Number of cross-validation folds. 0 skips cross-validation.",
    ),
]
Folds = Annotated[
    int,
    typer.Option(
        "--cv",
        min=2,
        metavar="N",
        rich_help_panel=EVALUATION,
        help="Number of cross-validation folds.",
    ),
]
LeaveOneOutColumn = Annotated[
    str | None,
    typer.Option(
        "--leave-one-out",
        metavar="COLUMN",
        rich_help_panel=EVALUATION,
        help="Hold out each value of this column in turn, for example generator.",
    ),
]
MatrixColumn = Annotated[
    str | None,
    typer.Option(
        "--matrix",
        metavar="COLUMN",
        rich_help_panel=EVALUATION,
        help="Train on each value of this column and test on every value.",
    ),
]
FewShotSizes = Annotated[
    str,
    typer.Option(
        "--few-shot",
        metavar="NUMBERS",
        rich_help_panel=EVALUATION,
        help="Numbers of training images per class for a learning curve, for example 10,100,1000.",
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        min=1,
        metavar="N",
        rich_help_panel=EVALUATION,
        help="Number of repetitions, each with its own seed. The default is 1, or 5 with "
        "--few-shot.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        metavar="N",
        rich_help_panel=EVALUATION,
        help="Random seed for folds and classifiers.",
    ),
]
SortMetric = Annotated[
    str,
    typer.Option(
        "--sort",
        metavar="METRIC",
        rich_help_panel=EVALUATION,
        help="Metric that orders the leaderboard.",
    ),
]
ComparedMetric = Annotated[
    str,
    typer.Option(
        "--metric",
        metavar="METRIC",
        rich_help_panel=EVALUATION,
        help="Metric in which the runs are compared.",
    ),
]

# Output

NewFeatureFile = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", rich_help_panel=OUTPUT, help="Feature file to write."
    ),
]
NewModelFile = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", rich_help_panel=OUTPUT, help="Model file to write."
    ),
]
ExportFile = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Table to write, ending in .parquet, .npz or .csv.",
    ),
]
PredictionsFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="CSV file to write. The default is standard output.",
    ),
]
ComparisonFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="CSV file to write, besides the printed table.",
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Folder for the run. The same command resumes an interrupted run.",
    ),
]
AuditFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Folder for findings.csv, files.csv and audit.json.",
    ),
]
RobustnessFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Folder for the table and its plots.",
    ),
]
DemoFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Folder for the images and the results.",
    ),
]
HtmlPage = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="HTML page with thumbnails to write.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", rich_help_panel=OUTPUT, help="Replace existing output."),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed", rich_help_panel=OUTPUT, help="Retry images that are recorded as failed."
    ),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune",
        rich_help_panel=OUTPUT,
        help="Delete the rows of images that are no longer in the source.",
    ),
]
MaxBad = Annotated[
    int | None,
    typer.Option(
        "--max-bad",
        min=0,
        metavar="N",
        rich_help_panel=OUTPUT,
        help="Exit with code 3 if more than this many images fail.",
    ),
]
Template = Annotated[
    Path | None,
    typer.Option(
        "--template",
        metavar="TABLE",
        rich_help_panel=OUTPUT,
        help="Submission template to fill in by image id, for example sample_submission.csv.",
    ),
]
Fill = Annotated[
    str,
    typer.Option(
        "--fill",
        metavar="KIND",
        rich_help_panel=OUTPUT,
        help="Content of a template's single column: probability, class or auto.",
    ),
]
Average = Annotated[
    str,
    typer.Option(
        "--average",
        metavar="NAME",
        rich_help_panel=OUTPUT,
        help="Average over the frames, faces and views of one file: mean or confident.",
    ),
]
PerPart = Annotated[
    bool,
    typer.Option(
        "--per-part",
        rich_help_panel=OUTPUT,
        help="Write one row per frame, face and view, without averaging.",
    ),
]
NeighbourCount = Annotated[
    int,
    typer.Option(
        "--neighbours",
        min=1,
        metavar="N",
        rich_help_panel=OUTPUT,
        help="Number of nearest training images to show.",
    ),
]
AuditPage = Annotated[
    bool,
    typer.Option(
        "--audit/--no-audit",
        rich_help_panel=OUTPUT,
        help="Audit the data for the report of --output.",
    ),
]
Thumbnails = Annotated[
    bool,
    typer.Option(
        "--thumbnails/--no-thumbnails",
        rich_help_panel=OUTPUT,
        help="Show misclassified images in the report of --output.",
    ),
]
RobustnessRun = Annotated[
    Path | None,
    typer.Option(
        "--robustness",
        metavar="FOLDER",
        rich_help_panel=OUTPUT,
        help="Folder written by `clipfeat robustness -o`, to include in the report of --output.",
    ),
]
Prefer = Annotated[
    str | None,
    typer.Option(
        "--prefer",
        metavar="WHICH",
        rich_help_panel=OUTPUT,
        help="File that wins where two contradict each other: first or last.",
    ),
]
AllFailures = Annotated[
    bool,
    typer.Option("--failures", rich_help_panel=OUTPUT, help="List every failed image."),
]
ShowProfile = Annotated[
    bool,
    typer.Option(
        "--profile",
        rich_help_panel=OUTPUT,
        help="Print the time spent in each stage and a recommendation.",
    ),
]
Private = Annotated[
    bool,
    typer.Option("--private", rich_help_panel=OUTPUT, help="Create a private repository."),
]
Revision = Annotated[
    str | None,
    typer.Option(
        "--revision",
        metavar="NAME",
        rich_help_panel=INPUT,
        help="Branch, tag or commit of the repository. The default is its main branch.",
    ),
]

# Performance

BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        "-b",
        min=1,
        metavar="N",
        rich_help_panel=PERFORMANCE,
        help="Images per forward pass. The default is measured on the first images.",
    ),
]
DecodeWorkers = Annotated[
    int | None,
    typer.Option(
        "--num-workers",
        "-j",
        min=1,
        metavar="N",
        rich_help_panel=PERFORMANCE,
        help="Workers that read and decode images. The default is the number of cores plus one.",
    ),
]
FitThreads = Annotated[
    int | None,
    typer.Option(
        "--num-workers",
        "-j",
        min=1,
        metavar="N",
        rich_help_panel=PERFORMANCE,
        help="Threads. The default is one for small data, otherwise the number of cores. On Ray, "
        "threads per fit, by default one.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAMES",
        rich_help_panel=PERFORMANCE,
        help="auto, cpu, cuda (every GPU), cuda:1 or mps. Separate several with commas.",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        rich_help_panel=PERFORMANCE,
        help="Time limit in seconds for all searches and fits. Needs --tune.",
    ),
]
TimeLimitPerClassifier = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        rich_help_panel=PERFORMANCE,
        help="Time limit in seconds for each classifier, over all folds and searches.",
    ),
]
Accelerate = Annotated[
    bool,
    typer.Option(
        "--accelerate/--no-accelerate",
        rich_help_panel=PERFORMANCE,
        help="Fit with scikit-learn-intelex or on a GPU, if available.",
    ),
]
OutOfCore = Annotated[
    bool | None,
    typer.Option(
        "--out-of-core/--in-memory",
        rich_help_panel=PERFORMANCE,
        help="Read features in blocks. The default does so if they need half of the memory.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        rich_help_panel=PERFORMANCE,
        help="local (this machine) or ray (every machine of a Ray cluster).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        rich_help_panel=PERFORMANCE,
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
