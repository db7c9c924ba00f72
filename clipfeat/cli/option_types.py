"""Types of the commands' options and arguments.

This module defines the flags, the help text and the help panel of every option. The commands and
the options classes define the defaults. Two types share a flag only if its meaning differs between
commands, such as ``--output`` for a file or for a folder. The groups at the end list the options of
each options class for `clipfeat.cli.option_groups.expands`. This module imports no large
library, so that ``clipfeat --help`` stays fast.
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
labels_option = partial(input_option, "--labels", metavar="TABLE")

# Arguments

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images: a folder, a CSV, TSV or Parquet table of paths, WebDataset tar files "
        "('x-{000..099}.tar'), zip archives, Parquet files with images, .npy, .npz or HDF5 files "
        "of images, image files or video files. '-' reads paths from standard input.",
    ),
]
AuditedSources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images, from the same kinds of sources as for `clipfeat embed`, or feature files. "
        "Several sources are treated as "
        "splits of one data set, such as training and test. Feature files of different encoders "
        "are joined image by image instead.",
    ),
]
LabelledSources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Labelled images, from the same kinds of sources as for `clipfeat embed`. Training "
        "images of the model are not scored.",
    ),
]
EmbeddedSources = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE", help=Sources.__metadata__[0].help, show_default=False),
]
OutputFeatures = Annotated[
    Path | None,
    typer.Argument(
        metavar="OUT.h5",
        help="Feature file to write. New images are added to an existing file. Required, except "
        "with --dry-run.",
    ),
]
SourcesOrFeatures = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Images to classify, from the same kinds of sources as for `clipfeat embed`, or their "
        "feature files, one for each encoder of the model.",
    ),
]
AdaptationSources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Images of the new domain, from the same kinds of sources as for `clipfeat embed`, or "
        "their feature files, one for each encoder of the model. "
        "Training images of the model are left out. Required, except with --undo.",
    ),
]
FeatureFiles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FEATURES.h5",
        help="Feature files. Several files must be of different encoders. Their features are "
        "joined image by image. The default is the feature file in the current directory, if "
        "there is exactly one.",
    ),
]
SearchedFeatures = Annotated[
    Path, typer.Argument(metavar="FEATURES.h5", help="Feature file to search.")
]
Query = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE|TEXT",
        help="Image file, or a text to search for. A query is an image if a file of this name "
        "exists. Texts need features of an open_clip encoder.",
    ),
]
ModelFile = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Model file that `clipfeat fit`, `clipfeat train` or `clipfeat adapt` wrote, or that "
        "`clipfeat pull` downloaded.",
    ),
]
MergedFiles = Annotated[
    list[Path], typer.Argument(metavar="FEATURES.h5", help="Feature files of the same encoder.")
]
ForeignFeatures = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="Folder or file of features that thingsvision or clip-retrieval wrote.",
    ),
]
_RUN_HELP = "Folder written by `clipfeat benchmark -o` or `clipfeat train -o`."
RunFolders = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN",
        help=f"{_RUN_HELP} The first one is the reference.",
    ),
]
NamePattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="Part of a name, or a pattern with * and ?.")
]
AnyFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Feature file, model file or run folder.")
]
FeaturesOrModel = Annotated[
    Path, typer.Argument(metavar="FILE", help="Feature file or model file.")
]
Repository = Annotated[
    str, typer.Argument(metavar="USER/NAME", help="Repository id on the Hugging Face hub.")
]

# Input

_LABELS_HELP = (
    "CSV, TSV or Parquet table with image paths and labels. These labels replace all others, such "
    "as the names of folders. Images that are not in the table are unlabelled. However, if the "
    "table is a labels.csv of `clipfeat app`, they keep their labels."
)
LabelTable = Annotated[Path | None, labels_option(help=_LABELS_HELP)]
LabelTableOfTraining = Annotated[
    Path | None,
    labels_option(help=f"{_LABELS_HELP} The table is not used for the images of --test."),
]
_TRUE_LABELS_HELP = (
    "CSV, TSV or Parquet table with image paths and true labels, which must be classes of the "
    "model. They replace the labels of folders and"
)
_NOT_IN_TABLE_HELP = (
    "Images that are not in the table are unlabelled, or keep the label of their folder if the "
    "table is a labels.csv of `clipfeat app`."
)
LabelTableOfModel = Annotated[
    Path | None, labels_option(help=f"{_TRUE_LABELS_HELP} feature files. {_NOT_IN_TABLE_HELP}")
]
LabelTableOfRobustness = Annotated[
    Path | None, labels_option(help=f"{_TRUE_LABELS_HELP} labels in SOURCE. {_NOT_IN_TABLE_HELP}")
]
LabelTableOfAudit = Annotated[
    Path | None, labels_option(help=f"{_LABELS_HELP} Not available if SOURCE is a feature file.")
]
_LABEL_TABLES_HELP = (
    "Table of labels that replace those of the feature file: a labels.csv of `clipfeat app`, or "
    "another table with image paths and labels. Repeat for the tables of several people: an image "
    "then gets the label that most of them gave, or no label if there is a tie. Images that are "
    "not in a table keep their labels."
)
LabelTables = Annotated[
    list[Path] | None,
    labels_option(help=f"{_LABEL_TABLES_HELP} By default, no labels.csv is read."),
]
LabelTablesOfQueue = Annotated[
    list[Path] | None,
    labels_option(
        help=f"{_LABEL_TABLES_HELP} The default is the labels.csv of `clipfeat app` beside the "
        "feature file, if there is one.",
    ),
]
LabelTablesOfApp = Annotated[
    list[Path] | None,
    labels_option(
        help=f"{_LABEL_TABLES_HELP} The labels in --label-file are always loaded, and replace "
        "those of TABLE.",
    ),
]
LabelFile = Annotated[
    Path | None,
    output_option(
        "--label-file",
        metavar="FILE",
        help="CSV file to which each decision about a label is appended. Earlier decisions in the "
        "file are loaded. Several people may use one file, each with another --annotator. The "
        "default is labels.csv beside the feature file.",
    ),
]
Annotator = Annotated[
    str,
    output_option(
        "--annotator",
        metavar="NAME",
        help="Name of the person who labels. The default is the user name on this computer.",
    ),
]
PathColumn = Annotated[
    str,
    input_option(
        "--path-col",
        metavar="COLUMN",
        help="Column of image paths in the table. The default is a column with a usual name, "
        "such as path or filename.",
    ),
]
LabelColumn = Annotated[
    str,
    input_option(
        "--label-col",
        metavar="COLUMN",
        help="Column of labels in the table. The default is a column with a usual name, such as "
        "label or target.",
    ),
]
GroupColumnOfTable = Annotated[
    str,
    input_option(
        "--group-col",
        metavar="COLUMN",
        help="Column of groups in the table, for example patient. Cross-validation keeps all "
        "images of a group in one fold.",
    ),
]
ImageRootFolder = Annotated[
    Path | None,
    input_option(
        "--image-root",
        metavar="DIR",
        help="Folder of the images that a table lists. The table may leave out their file suffix. "
        "The default is the table's folder, or the current directory if the table's folder "
        "contains none of the images. Local images outside DIR, the table's folder and the current "
        "directory are refused.",
    ),
]
AllowRemote = Annotated[
    bool,
    input_option(
        "--allow-remote",
        help="Download images from the addresses in a table, such as https:// or s3:// addresses.",
    ),
]
_REAL_HELP = (
    "Label images as real by their path below the source, for example '**/0_real' or 'RAISE'. A "
    "pattern that matches a folder covers all images below it. Cannot be combined with --labels. "
    "Repeatable."
)
RealGlobs = Annotated[list[str] | None, input_option("--real", metavar="GLOB", help=_REAL_HELP)]
RealGlobsOfImages = Annotated[
    list[str] | None,
    input_option(
        "--real",
        metavar="GLOB",
        help=f"{_REAL_HELP} --real, --fake and --generator-level are not available for feature "
        "files.",
    ),
]
FakeGlobs = Annotated[
    list[str] | None,
    input_option(
        "--fake",
        metavar="GLOB",
        help="Label images as fake by their path, with patterns like those of --real. Images that "
        "match no pattern of either option are unlabelled. Repeatable.",
    ),
]
GeneratorLevel = Annotated[
    int | None,
    input_option(
        "--generator-level",
        metavar="N",
        help="Number of the folder that names the generator, counted from the source. In "
        "sdxl/train/1.png, folder 1 is sdxl.",
    ),
]
AuditedGroupColumn = Annotated[
    str,
    input_option(
        "--group-col",
        metavar="COLUMN",
        help="Column of groups in the table or feature file, for example patient. The audit "
        "reports groups with images in several splits.",
    ),
]
GroupColumn = Annotated[
    str,
    input_option(
        "--group-col",
        metavar="COLUMN",
        help="Column of groups in the feature file. All images of a group stay in one fold. The "
        "word 'none' ignores the groups of the file.",
    ),
]
_MERGE_HELP = (
    "Merge classes whose names differ only in capitals or spaces, such as Real and real. A merged "
    "class has its most frequent spelling"
)
_NOT_MERGED_HELP = "By default, such classes are an error."
MergeLabels = Annotated[
    bool, input_option("--merge-labels", help=f"{_MERGE_HELP}. {_NOT_MERGED_HELP}")
]
MergeLabelsOfEmbedding = Annotated[
    bool,
    input_option(
        "--merge-labels",
        help=f"{_MERGE_HELP}, or its spelling in the existing feature file to which images are "
        f"added. {_NOT_MERGED_HELP}",
    ),
]
MergeLabelsOfBenchmark = Annotated[
    bool,
    input_option(
        "--merge-labels",
        help=f"{_MERGE_HELP} in the training images. --test gets the same spelling. "
        f"{_NOT_MERGED_HELP}",
    ),
]
MergeLabelsOfModel = Annotated[
    bool,
    input_option(
        "--merge-labels",
        help="Ignore capitals and spaces when labels are compared with the classes of the model, "
        "so that the label Real is the class real. By default, a label in a table must have the "
        "same capitals and spaces as a class.",
    ),
]
Unlabelled = Annotated[
    bool,
    input_option(
        "--unlabelled",
        help="Ignore all labels, and use every image as if it had none. By default, the labelled "
        "images are used if there are any.",
    ),
]
GroupDuplicates = Annotated[
    bool,
    input_option(
        "--group-duplicates",
        help="Put near duplicates into one group, so that they share a fold. The sets of an "
        "official split do not change, even if near duplicates are in different sets.",
    ),
]
GroupDuplicatesOfBenchmark = Annotated[
    bool,
    input_option(
        "--group-duplicates",
        help="Put near duplicates into one group, so that they share a fold. The sets of an "
        "official split and the files of --test do not change, even if near duplicates are in "
        "different sets.",
    ),
]
LayersOfFeatures = Annotated[
    str | None,
    input_option(
        "--layers",
        metavar="NAMES",
        help="Comma-separated layers to use if the feature file contains several, for example "
        "3,6,last.",
    ),
]
FramesPerSecond = Annotated[
    float | None,
    input_option(
        "--fps",
        metavar="RATE",
        help="Number of frames per second to take from each video. Cannot be combined with "
        "--frames.",
    ),
]
FrameCount = Annotated[
    int | None,
    input_option(
        "--frames",
        metavar="N",
        help="Number of evenly spaced frames to take from each video. Without --fps, the default "
        "is 8.",
    ),
]
_FACES_HELP = (
    "Encode faces instead of whole images. crop: one crop that contains all faces. largest: one "
    "crop of the largest face. all: one crop, and one row, per face. aligned: one crop of the "
    "largest face, with eyes, nose and mouth at fixed places (an error with the detector lbp, see "
    "--face-detector)."
)
Faces = Annotated[str | None, input_option("--faces", metavar="MODE", help=_FACES_HELP)]
FacesOfTraining = Annotated[
    str | None,
    input_option(
        "--faces",
        metavar="MODE",
        help=f"{_FACES_HELP} The default is the mode of the recipe, if it has one.",
    ),
]
FaceMargin = Annotated[
    float,
    input_option(
        "--face-margin",
        min=0.0,
        metavar="SHARE",
        help="Margin on each side of a face, as a share of the longer side of its box. With "
        "--faces crop, the horizontal margin is a share of the box's width, and the vertical "
        "margin is a share of its height. With --faces aligned, the face is taken to be as wide "
        "as 3.2 times the distance between the eyes, and the margin is a share of this width.",
    ),
]
NoFace = Annotated[
    str,
    input_option(
        "--no-face",
        metavar="ACTION",
        help="Action for an image without a face. skip: record the image as failed. keep: encode "
        "the whole image.",
    ),
]
FaceWeights = Annotated[
    Path | None,
    input_option(
        "--face-weights",
        metavar="FILE",
        help="YuNet weights (.onnx). Selects the face detector yunet.",
    ),
]
FaceDetector = Annotated[
    str | None,
    input_option(
        "--face-detector",
        metavar="NAME",
        help="Face detector. mtcnn: faces of any pose, the default if clipfeat[faces] is "
        "installed. lbp: upright frontal faces, the default otherwise. yunet: the default with "
        "--face-weights. An existing feature file keeps its detector by default.",
    ),
]
FaceWeightsOfModel = Annotated[
    Path | None,
    input_option(
        "--face-weights",
        metavar="FILE",
        help="YuNet weights (.onnx). Required if the model was fitted on faces that YuNet "
        "detected.",
    ),
]
FaceWeightsOfFeatures = Annotated[
    Path | None,
    input_option(
        "--face-weights",
        metavar="FILE",
        help="YuNet weights (.onnx). Required if the features are of faces that YuNet detected.",
    ),
]
IsText = Annotated[
    bool,
    input_option("--text", help="Treat the query as text, even if a file has this name."),
]
TrainFiles = Annotated[
    list[Path] | None,
    input_option(
        "--train",
        metavar="FEATURES.h5",
        help="Feature file to train on, instead of the positional FEATURES.h5. Requires --test. "
        "Repeatable, if the files contain the same images with different encoders.",
    ),
]
TestFiles = Annotated[
    list[Path] | None,
    input_option(
        "--test",
        metavar="FEATURES.h5",
        help="Feature file of a separate test set, which replaces cross-validation and the "
        "official split. Repeatable, if the files contain the same images with different encoders.",
    ),
]
TrainingFeatures = Annotated[
    list[Path] | None,
    input_option(
        "--features",
        metavar="FEATURES.h5",
        help="Feature file that the model was fitted on. Repeat for several encoders. The "
        "default is the feature file in the current directory, if there is exactly one.",
    ),
]
ImagesOfFeatures = Annotated[
    list[str] | None,
    input_option(
        "--images",
        metavar="SOURCE",
        help="Images of the feature files, for the checks of EXIF data and JPEG compression. All "
        "other checks need only the feature files. Repeatable.",
    ),
]
ImageFolder = Annotated[
    Path | None,
    input_option(
        "--images",
        metavar="FOLDER",
        help="Folder of the images. Images in this folder are identified by content hash, all "
        "others by path.",
    ),
]
ClassFolders = Annotated[
    bool,
    input_option(
        "--class-folders/--no-class-folders",
        help="Use the first folder of an image's path as its label. --labels replaces these "
        "labels.",
    ),
]

# Encoder

EncoderName = Annotated[
    str,
    encoder_option(
        "--encoder",
        "-e",
        metavar="NAME",
        help="Name of the encoder, for example timm:resnet50.a1_in1k. `clipfeat encoders` lists "
        "the names. onnx:FILE, for example onnx:arcface.onnx, is the encoder in a local ONNX file.",
    ),
]
RecipeName = Annotated[
    str,
    encoder_option(
        "--recipe",
        metavar="NAME",
        help="Recipe: encoders, image sizes, layers, views, faces, scaling, classifiers and votes. "
        "`clipfeat recipes` lists all recipes.",
    ),
]
EncodersOfRecipe = Annotated[
    str,
    encoder_option(
        "--encoder",
        "-e",
        metavar="NAMES",
        help="Comma-separated names of encoders that replace those of the recipe, for example "
        "efficientnet-lite0,efficientnet-lite2. The names are those of `clipfeat embed --encoder`.",
        show_default=False,
    ),
]
SizesOfRecipe = Annotated[
    str,
    encoder_option(
        "--image-size",
        metavar="PIXELS",
        help="Comma-separated sides of the square input that replace those of the recipe, for "
        "example 64,128. Every encoder is used at every size.",
        show_default=False,
    ),
]
LayersOfRecipe = Annotated[
    str | None,
    encoder_option(
        "--layers",
        metavar="NAMES",
        help="Comma-separated layers that replace those of the recipe, as for `clipfeat embed`.",
    ),
]
WeightsOfRecipe = Annotated[
    list[Path] | None,
    encoder_option(
        "--weights",
        metavar="FILE",
        help="Local file of weights (.safetensors or .pt) instead of a download from the Hugging "
        "Face hub. Give one file for each encoder of the recipe or of --encoder, in their order. "
        "Encoders without weights, such as spectrum, are then an error.",
    ),
]
WeightsFile = Annotated[
    Path | None,
    encoder_option(
        "--weights",
        metavar="FILE",
        help="Local file of weights (.safetensors or .pt) instead of a download from the Hugging "
        "Face hub.",
    ),
]
WeightsOfZeroShot = Annotated[
    Path | None,
    encoder_option(
        "--weights",
        metavar="FILE",
        help="Local file with the encoder's weights (.safetensors or .pt) instead of a download "
        "from the Hugging Face hub. Only for --clf zeroshot, which encodes texts.",
    ),
]
WeightsFiles = Annotated[
    list[Path] | None,
    encoder_option(
        "--weights",
        metavar="FILE",
        help="Local file of weights (.safetensors or .pt) instead of a download from the Hugging "
        "Face hub. Give one file for each encoder of the model that has weights, in the order that "
        "`clipfeat info` shows. One file serves all image sizes of an encoder.",
    ),
]
Untrained = Annotated[
    bool,
    encoder_option(
        "--untrained", help="Use random weights. For tests and speed measurements only."
    ),
]
Layers = Annotated[
    str | None,
    encoder_option(
        "--layers",
        metavar="NAMES",
        help="Comma-separated layers to extract, for example 3,6,last. A number selects a block "
        "or stage, counted from 0. The name last, the default, selects the encoder's output. The "
        "name all selects all blocks or stages and the output. "
        "A layer can have its own pooling instead of --pool, for example 3/mean or all/cls. The "
        'guide "Use several layers and image sizes" lists further layers.',
    ),
]
Pool = Annotated[
    str | None,
    encoder_option(
        "--pool",
        metavar="NAMES",
        help="How to pool each layer of --layers into one vector: cls (class token), mean, std or "
        "max. mean+std concatenates both. The default is cls if the network has a class token, "
        "otherwise mean+std. The encoder's output (last) is already one vector and is not pooled.",
    ),
]
ImageSizes = Annotated[
    str | None,
    encoder_option(
        "--image-size",
        metavar="PIXELS",
        help="Side of the encoder's square input in pixels. Several sizes, for example "
        "32,64,128, write one feature file per size (out-32.h5, out-64.h5, out-128.h5).",
    ),
]
Crop = Annotated[
    str | None,
    encoder_option(
        "--crop",
        metavar="MODE",
        help="How to fit an image to the encoder's square input. center: resize, then crop the "
        "center. resize: resize the whole image to a square. none: crop the center without "
        "resizing. tiles: average the features of all tiles of the image, without resizing. The "
        "default is the encoder's own mode.",
    ),
]
Decoding = Annotated[
    str,
    encoder_option(
        "--decode",
        metavar="MODE",
        help="exact: decode in full size. scaled: reduce large JPEG photographs by a factor of 2, "
        "4 or 8 while decoding, which is faster. The reduced image has at least twice the size to "
        "which the encoder resizes. The features change slightly, so features of the two modes "
        "cannot be mixed.",
    ),
]
EncoderArguments = Annotated[
    list[str] | None,
    encoder_option(
        "--encoder-arg",
        metavar="NAME=VALUE",
        help="Argument of the preprocessing of a timm or onnx encoder: mean, std, interpolation, "
        "crop_pct or crop_mode. For onnx, also channels (rgb or bgr) and layout (NCHW or NHWC). "
        "For timm, also an argument of the architecture, for example pad_type=same. Arguments that "
        "open files or addresses are refused. Repeatable.",
    ),
]
Precision = Annotated[
    str,
    encoder_option(
        "--precision",
        metavar="NAME",
        help="Numeric precision: fp32, bf16, fp16 or auto. auto selects the fastest precision "
        "whose features have a cosine similarity of at least 0.9995 to the fp32 features.",
    ),
]
FeatureName = Annotated[
    str,
    encoder_option(
        "--name",
        metavar="NAME",
        help="Name of the encoder that computed the features, for example alexnet-fc7.",
    ),
]

# Augmentation

_VIEWS_HELP = (
    "Comma-separated views, which are augmented copies of each image. For example, hflip mirrors "
    "the image, and jpeg75 compresses it as JPEG of quality 75. Also accepts a YAML, JSON or TOML "
    "file that defines views."
)
Views = Annotated[
    str | None,
    augmentation_option(
        "--views", metavar="NAMES", help=f"{_VIEWS_HELP} Each view of an image adds one row."
    ),
]
ViewsOfTraining = Annotated[
    str | None,
    augmentation_option(
        "--views",
        metavar="NAMES",
        help=f"{_VIEWS_HELP} The views replace those of the recipe. Each view of a training image "
        "adds one row. Test images have no views.",
    ),
]
TestTimeViews = Annotated[
    str | None,
    augmentation_option(
        "--tta",
        metavar="NAMES",
        help="Test-time augmentation with comma-separated views, which are augmented copies of "
        "each image. For example, hflip mirrors the image, and jpeg75 compresses it as JPEG of "
        "quality 75. Also accepts a YAML, JSON or TOML file that defines views. The "
        "predictions for an image and its views are combined by --average.",
    ),
]
Degradations = Annotated[
    str,
    augmentation_option(
        "--degrade",
        metavar="NAMES",
        help="Comma-separated degradations: jpeg, webp, blur, shrink, enlarge, crop, noise or "
        "combined (several in sequence). all selects every degradation.",
    ),
]

# Classifiers

ModelClassifiers = Annotated[
    str,
    classifier_option(
        "--clf",
        metavar="NAMES",
        help="Comma-separated classifiers, for example logreg,svm. Several classifiers are "
        "combined by --vote. `clipfeat classifiers` lists all names. all: the usual classifiers, "
        "which have a star in that list. every: all classifiers in that list except zeroshot. "
        "zeroshot cannot be combined with other classifiers.",
    ),
]
PromptsFile = Annotated[
    Path | None,
    classifier_option(
        "--prompts",
        metavar="FILE",
        help="Descriptions of the classes for --clf zeroshot, as a YAML or JSON file. Its key "
        "'classes' maps each class to one or more names. Its optional key 'templates' is a list of "
        "sentences with {} for the name.",
    ),
]
ComparedClassifiers = Annotated[
    str,
    classifier_option(
        "--clf",
        metavar="NAMES",
        help="Comma-separated classifiers, for example logreg,triplet+svm, where triplet+svm is "
        "svm after the projection triplet. all: the usual classifiers, which have a star in the "
        "list of `clipfeat classifiers`. every: all "
        "classifiers in that list except zeroshot, which only `clipfeat fit` supports.",
    ),
]
ScoresFiles = Annotated[
    list[str] | None,
    classifier_option(
        "--scores",
        metavar="NAME=FILE",
        help="CSV or TSV file with scores from outside clipfeat, such as those of a published "
        "detector, in columns such as path and score. They are compared with the classifiers. "
        "Higher scores mean the positive class. NAME= is optional. Repeatable.",
    ),
]
Scale = Annotated[
    str,
    classifier_option(
        "--scale",
        metavar="NAME",
        help="Feature scaling of linear and distance-based classifiers: standard (zero mean and "
        "unit variance per feature), l2 (unit length per image) or none.",
    ),
]
_BALANCE_HELP = (
    "How to give all classes the same weight. prior: divide the probabilities by the class "
    "frequencies. weights: weight the training loss by inverse class frequency. sampling: "
    "oversample the smaller classes. none: no balancing."
)
Balance = Annotated[
    str,
    classifier_option(
        "--balance",
        metavar="NAME",
        help=f"{_BALANCE_HELP} auto: prior with --leave-one-out or --matrix, otherwise none.",
    ),
]
BalanceOfModel = Annotated[
    str,
    classifier_option("--balance", metavar="NAME", help=f"{_BALANCE_HELP} auto: same as none."),
]
Calibrate = Annotated[
    str,
    classifier_option(
        "--calibrate",
        metavar="NAME",
        help="Probability calibration: sigmoid (Platt scaling), isotonic (for 1,000 or more "
        "images) or temperature (one number for all classes). none keeps each classifier's "
        "own calibration, if any.",
    ),
]
Bag = Annotated[
    int,
    classifier_option(
        "--bag",
        min=0,
        metavar="N",
        help="Average this number of models. The training images are divided into the same number "
        "of folds, and each model leaves out one fold. 0 fits a single model on all training "
        "images. 1 is an error.",
    ),
]
Threshold = Annotated[
    str | None,
    classifier_option(
        "--threshold",
        metavar="METRIC",
        help="Choose the decision threshold that maximises accuracy or balanced_accuracy. Two "
        "classes only. See --positive.",
    ),
]
MaxFpr = Annotated[
    float | None,
    classifier_option(
        "--max-fpr",
        metavar="RATE",
        help="Choose the decision threshold so that the false positive rate is at most this "
        "value with 95 % confidence. A rate of 0.05 needs 59 negative images in each training "
        'set. The guide "Choose a decision threshold" lists the classifiers and options that need '
        "twice as many. Two classes only. See --positive.",
    ),
]
_ABSTAIN_HELP = (
    'Let `clipfeat predict` mark images as unsure (see the guide "Mark unsure predictions"). Of '
    "new images that are like the training images, on average at most the share LEVEL of each "
    "class is misclassified and not marked as unsure. A LEVEL of 0.05 needs 19 images of each "
    "class,"
)
Abstain = Annotated[
    float | None,
    classifier_option(
        "--abstain",
        metavar="LEVEL",
        help=f"{_ABSTAIN_HELP} and twice as many for some classifiers and options, such as mlp "
        "and --tune.",
    ),
]
AbstainOfTraining = Annotated[
    float | None,
    classifier_option(
        "--abstain",
        metavar="LEVEL",
        help=f"{_ABSTAIN_HELP} and twice as many if the chosen classifier or vote contains "
        "'triplet', a projection that the recipe 'faces' uses.",
    ),
]
AbstainOfModel = Annotated[
    float | None,
    output_option(
        "--abstain",
        metavar="LEVEL",
        help="Largest share of each class that may be misclassified and not marked as unsure, for "
        "example 0.1 (see `clipfeat fit --help`). The default is the level of the model. The model "
        "must have been fitted with --abstain.",
    ),
]
Positive = Annotated[
    str | None,
    classifier_option(
        "--positive",
        metavar="CLASS",
        help="Name of the positive class, if there are two classes. The false positive rate, the "
        "average precision and the threshold refer to it. By default, the class names determine "
        "the positive class: fake is positive, and real is negative. If the names do not determine "
        "it, it is the last class in alphabetical or numerical order.",
    ),
]
Vote = Annotated[
    str,
    classifier_option(
        "--vote",
        metavar="NAME",
        help="How to combine several classifiers. uniform: soft vote, the average of their "
        "probabilities. "
        "greedy: weighted average, built by repeatedly adding the classifier that lowers "
        "the log loss the most. log_loss: weighted average with the smallest log loss. "
        "stacking: logistic regression on their probabilities.",
    ),
]
Votes = Annotated[
    str,
    classifier_option(
        "--vote",
        metavar="NAMES",
        help="Comma-separated votes to compare, or all. uniform: soft vote, the average of the "
        "probabilities. "
        "greedy: weighted average, built by repeatedly adding the classifier that lowers "
        "the log loss the most. log_loss: weighted average with the smallest log loss. "
        "stacking: logistic regression on the probabilities.",
    ),
]
VoteWeights = Annotated[
    str,
    classifier_option(
        "--vote-weights",
        metavar="NUMBERS",
        help="Weights of the average, one per classifier, for example 2,1,1. They replace --vote.",
    ),
]
ExtraVoteWeights = Annotated[
    str,
    classifier_option(
        "--vote-weights",
        metavar="NUMBERS",
        help="Add a weighted vote to the comparison. Give one weight per classifier, for example "
        "2,1,1.",
    ),
]
Tune = Annotated[
    bool,
    classifier_option(
        "--tune/--no-tune",
        help="Search the hyperparameters of each classifier on the training images.",
    ),
]

# Evaluation

FoldsOrNone = Annotated[
    int,
    evaluation_option(
        "--cv",
        min=0,
        metavar="N",
        help="Number of cross-validation folds. 0 skips cross-validation, and prints no scores.",
    ),
]
Folds = Annotated[
    int | None,
    evaluation_option(
        "--cv",
        min=2,
        metavar="N",
        help="Number of cross-validation folds, by default 5. Without --cv, an official split of "
        "the images replaces cross-validation (see --split). Has no effect with --test and "
        "--leave-one-out.",
    ),
]
SplitColumn = Annotated[
    str,
    evaluation_option(
        "--split",
        metavar="COLUMN",
        help="Column with the official split of the images: train, val or test. `clipfeat "
        "benchmark` fits on train, chooses thresholds and the best classifier or vote on val, and "
        "scores test. "
        "`clipfeat fit` leaves out the test images. The word 'none' ignores the split.",
    ),
]
LeaveOneOutColumn = Annotated[
    str | None,
    evaluation_option(
        "--leave-one-out",
        metavar="COLUMN",
        help="For each value of this column, for example each generator, train on the images with "
        "all other values and test on the images with this value.",
    ),
]
MatrixColumn = Annotated[
    str | None,
    evaluation_option(
        "--matrix",
        metavar="COLUMN",
        help="For each value of this column, train on the images with this value and test on "
        "every value.",
    ),
]
FewShotSizes = Annotated[
    str,
    evaluation_option(
        "--few-shot",
        metavar="NUMBERS",
        help="Compute a learning curve: train on these numbers of images per class, for example "
        "10,100,1000.",
    ),
]
Repeats = Annotated[
    int | None,
    evaluation_option(
        "--repeats",
        min=1,
        metavar="N",
        help="Number of repetitions with different seeds. The default is 1, or 5 with --few-shot.",
    ),
]
Seed = Annotated[
    int,
    evaluation_option("--seed", min=0, metavar="N", help="Random seed for folds and classifiers."),
]
SeedOfQueue = Annotated[
    int,
    evaluation_option(
        "--seed",
        min=0,
        metavar="N",
        help="Random seed for the classifier and for the clusters of the features.",
    ),
]
TestImages = Annotated[
    list[str] | None,
    evaluation_option(
        "--test",
        metavar="SOURCE",
        help="Images to predict after the model is chosen, from the same kinds of sources as "
        "SOURCE. They have no influence on the model. If they have labels, the predictions are "
        "scored. The default is the test images of an official split of SOURCE, if there is one. "
        "Repeat to add the images of further sources.",
    ),
]
SortMetric = Annotated[
    str, evaluation_option("--sort", metavar="METRIC", help="Metric that orders the leaderboard.")
]
_RATES_HELP = (
    "table of false positive rates and recalls, which has one row per value. If several columns "
    "are given, separated by commas, an image without a value in the first is counted by its value "
    "in the next. The default is generator,source"
)
RateColumn = Annotated[
    str | None,
    evaluation_option(
        "--by", metavar="COLUMN", help=f"Column for the second table: a {_RATES_HELP}."
    ),
]
RateColumnOfBenchmark = Annotated[
    str | None,
    evaluation_option(
        "--by",
        metavar="COLUMN",
        help=f"Column for the {_RATES_HELP}. With --leave-one-out or --matrix, the default is the "
        "column of that option, then source.",
    ),
]
ComparedMetric = Annotated[
    str,
    evaluation_option("--metric", metavar="METRIC", help="Metric to compare the runs by."),
]

# Output

NewFeatureFile = Annotated[
    Path, output_option("--output", "-o", metavar="FILE", help="Feature file to write.")
]
NewModelFile = Annotated[
    Path, output_option("--output", "-o", metavar="FILE", help="Model file to write.")
]
AdaptedModelFile = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        help="Model file to write. By default, MODEL itself is changed, for which --overwrite is "
        "not needed.",
    ),
]
Undo = Annotated[
    bool, output_option("--undo", help="Remove the adaptation and restore the original model.")
]
ExportFile = Annotated[
    Path,
    output_option(
        "--output",
        "-o",
        metavar="PATH",
        help="File or folder to write. For a feature file: a .parquet, .npz or .csv file, or the "
        "file or folder of --format. For a model: an .onnx or .skops file, or a folder (a path "
        "without a suffix) for a web page.",
    ),
]
ExportFormat = Annotated[
    str | None,
    output_option(
        "--format",
        metavar="NAME",
        help="Export a feature file in the format of another program: atlas (a .parquet file for "
        "Embedding Atlas), fiftyone (a folder with a script for FiftyOne) or datasets (a folder "
        "for datasets.load_from_disk).",
    ),
]
CheckedImages = Annotated[
    str | None,
    input_option(
        "--check",
        metavar="SOURCE",
        help="Images on which an ONNX file or a page is compared with the model, in addition to "
        "generated images of noise. At most 200 images of SOURCE are used, without training images "
        "of the model. Accepts the same sources as `clipfeat embed`.",
    ),
]
PredictionsFile = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        help="CSV file to write. Without --output, the table is printed on standard output.",
    ),
]
SearchResultsFile = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        help="CSV file to write, in addition to the printed table.",
    ),
]
QueueFile = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        help="CSV file to write, with the paths, the predicted classes and the margins (the "
        "difference between the two largest probabilities). Without --output, the paths are "
        "printed on standard output, one per line.",
    ),
]
ComparisonFile = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write, in addition to the printed table. Without --format, the suffix of the "
        "file selects its format: .md is Markdown, .tex is LaTeX, and any other suffix is CSV.",
    ),
]
TableFormat = Annotated[
    str | None,
    output_option(
        "--format",
        metavar="NAME",
        help="Format of the file of --output: md (Markdown), csv or latex. Without --output, the "
        "printed table has this format.",
    ),
]
RunFolder = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Folder to write the results to. Repeat the same command to resume an interrupted "
        "run.",
    ),
]
TrainingFolder = Annotated[
    Path,
    output_option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Folder of the run, with the features, the benchmark, the audit, the model and a "
        "summary. Repeat the same command to resume an interrupted run.",
    ),
]
AuditFolder = Annotated[
    Path | None,
    output_option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Folder to write findings.csv, files.csv and audit.json to.",
    ),
]
RobustnessFolder = Annotated[
    Path | None,
    output_option(
        "--output", "-o", metavar="FOLDER", help="Folder to write the tables and plots to."
    ),
]
DemoFolder = Annotated[
    Path,
    output_option(
        "--output", "-o", metavar="FOLDER", help="Folder to write the images and the results to."
    ),
]
ImagesOnly = Annotated[
    bool, output_option("--images-only", help="Only generate the images, for your own experiments.")
]
HtmlPage = Annotated[
    Path | None,
    output_option(
        "--html", metavar="FILE", help="HTML page to write, with thumbnails of the images."
    ),
]
Overwrite = Annotated[bool, output_option("--overwrite", help="Replace existing output.")]
OverwriteModel = Annotated[
    bool, output_option("--overwrite", help="Replace an existing file of --output.")
]
RetryFailed = Annotated[
    bool,
    output_option("--retry-failed", help="Retry images that are recorded as failed."),
]
DryRun = Annotated[
    bool,
    output_option(
        "--dry-run",
        help="Print the classes, generators and splits of SOURCE, and stop.",
    ),
]
Prune = Annotated[
    bool,
    output_option(
        "--prune",
        help="Delete the rows of images that are no longer in the folders or archives of SOURCE. "
        "Rows from folders and archives that SOURCE does not name are kept.",
    ),
]
MaxBad = Annotated[
    int | None,
    output_option(
        "--max-bad", min=0, metavar="N", help="Exit with code 3 if more than this many images fail."
    ),
]
_TEMPLATE_HELP = (
    "Sample submission of a competition, for example sample_submission.csv. The first column with "
    "a usual name, such as id, holds the image ids: paths or file names, with or without "
    "extension. If no column has such a name, the first column holds the ids."
)
Template = Annotated[
    Path | None,
    output_option(
        "--template",
        metavar="TABLE",
        help=f"{_TEMPLATE_HELP} The output then has the rows and columns of this table.",
    ),
]
TemplateOfTraining = Annotated[
    Path | None,
    output_option(
        "--template",
        metavar="TABLE",
        help=f"{_TEMPLATE_HELP} The file submission.csv in the --output folder then has the rows "
        "and columns of this table, filled with the predictions for the test images.",
    ),
]
_FILL_HELP = (
    "Content of the columns beside the ids. probability: a column named after a class, such as "
    "fake or is_fake, gets the probability of this class. Any other column gets the probability of "
    "the positive class. class: a column named after a class gets 1 if this class was predicted "
    "and 0 otherwise. Any other column gets the predicted class. auto: one of these two, according "
    "to the template's example values (see the guide \"Fill a competition's template\")."
)
Fill = Annotated[str, output_option("--fill", metavar="KIND", help=_FILL_HELP)]
FillOfTraining = Annotated[
    str,
    output_option(
        "--fill",
        metavar="KIND",
        help=f"{_FILL_HELP} The positive class is determined as by `clipfeat fit` without "
        "--positive.",
    ),
]
PositiveOfPredictions = Annotated[
    str | None,
    output_option(
        "--positive",
        metavar="CLASS",
        help="Name of the positive class, if there are two classes. Its probability fills the "
        "template. The average precision and the false positive rate refer to it. The predicted "
        "classes do not change. The default is the positive class of the model.",
    ),
]
Average = Annotated[
    str,
    output_option(
        "--average",
        metavar="NAME",
        help="How to combine the predictions for the frames, faces and --tta views of one file. "
        "mean: average all predictions. confident (two classes only): if at least 12 predictions, "
        "and more than 40 % of all, have a probability of the positive class above 0.8, average "
        "only these. Otherwise, if more than 90 % of all have a probability below 0.2, average "
        "only these. Otherwise, average all.",
    ),
]
PerPart = Annotated[
    bool,
    output_option(
        "--per-part",
        help="Write one row per video frame, face or --tta view instead of one row per file. "
        "--average then has no effect.",
    ),
]
NeighbourCount = Annotated[
    int,
    output_option(
        "--neighbours", min=1, metavar="N", help="Number of nearest training images to show."
    ),
]
ResultCount = Annotated[
    int, output_option("-k", min=1, metavar="N", help="Maximum number of images to list.")
]
QueueLength = Annotated[
    int, output_option("-n", min=1, metavar="N", help="Maximum number of images to list.")
]
AuditPage = Annotated[
    bool,
    output_option(
        "--audit/--no-audit",
        help="Audit the feature files for shortcuts, duplicates and wrong labels, as `clipfeat "
        "audit` does without --images. The findings are printed and written to the --output "
        "folder. They do not change the exit code.",
    ),
]
Thumbnails = Annotated[
    bool,
    output_option(
        "--thumbnails/--no-thumbnails",
        help="Show misclassified images in the HTML report in the --output folder.",
    ),
]
ShownImages = Annotated[
    list[Path] | None,
    output_option(
        "--images",
        metavar="FOLDER",
        help="Folder from which the HTML report takes the images. The audit does not use it. The "
        "default is the folder that the feature file records, if `clipfeat embed` wrote the file "
        "on this computer. Repeatable.",
    ),
]
ShownTrainingImages = Annotated[
    Path | None,
    output_option(
        "--images",
        metavar="FOLDER",
        help="Folder of the training images, for their thumbnails on the page of --html. The "
        "default is the folder that the feature file records, if `clipfeat embed` wrote the file "
        "on this computer.",
    ),
]
BrowsedRun = Annotated[
    Path | None,
    input_option(
        "--run",
        metavar="FOLDER",
        help=f"{_RUN_HELP} The page then also shows the out-of-fold predictions and the "
        "misclassified images.",
    ),
]
ExportedRun = Annotated[
    Path | None,
    input_option(
        "--run",
        metavar="FOLDER",
        help=f"{_RUN_HELP} The out-of-fold predictions of its best classifier or vote are added "
        "to the output of --format.",
    ),
]
BrowsedImages = Annotated[
    list[Path] | None,
    input_option(
        "--images",
        metavar="FOLDER",
        help="Folder of the images. The default is the folder that the feature file records, if "
        "`clipfeat embed` wrote the file on this computer. Repeatable.",
    ),
]
RobustnessRun = Annotated[
    Path | None,
    output_option(
        "--robustness",
        metavar="FOLDER",
        help="Folder written by `clipfeat robustness -o`. Its curves and rates are added to the "
        "HTML report in the --output folder.",
    ),
]
Prefer = Annotated[
    str | None,
    output_option(
        "--prefer",
        metavar="WHICH",
        help="Which file's row is kept if two files have the same image path with different "
        "content, labels or groups: first or last. By default, such a path is an error.",
    ),
]
AllFailures = Annotated[
    bool, output_option("--failures", help="List all failed images instead of the first ten.")
]
ShowProfile = Annotated[
    bool,
    output_option(
        "--profile",
        help="Print the time spent in each stage (such as reading, decoding and encoding) and "
        "advice on the slowest stage.",
    ),
]
ShowProgress = Annotated[
    bool,
    output_option(
        "--progress/--no-progress",
        help="Show the current phase, its duration and the remaining time on standard error.",
    ),
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
        help="Number of images per forward pass. By default, the best number is measured on the "
        "first images.",
    ),
]
DecodeWorkers = Annotated[
    int | None,
    performance_option(
        "--num-workers",
        "-j",
        min=1,
        metavar="N",
        help="Number of workers that read and decode images. The default is the number of cores "
        "plus one.",
    ),
]
FitThreads = Annotated[
    int | None,
    performance_option(
        "--num-workers",
        "-j",
        min=1,
        metavar="N",
        help="Number of threads that fit classifiers. The default is 1 for small data, otherwise "
        "the number of cores. With --engine ray, this is the number of threads of each fit, by "
        "default 1.",
    ),
]
Device = Annotated[
    str,
    performance_option(
        "--device",
        metavar="NAMES",
        help="Device: auto, cpu, cuda (every GPU), cuda:1 or mps. Separate several devices with "
        "commas.",
    ),
]
TimeLimit = Annotated[
    str | None,
    performance_option(
        "--time-limit",
        metavar="DURATION",
        help="Time limit of the parameter search of --tune and the fits with the chosen "
        "parameters together, for example 90s, 10m or 2h. Not available with --engine ray.",
    ),
]
TimeLimitOfTraining = Annotated[
    str,
    performance_option(
        "--time-limit",
        metavar="DURATION",
        help="Time limit of all fits together, for example 90s, 10m or 2h. Each classifier gets an "
        "equal share, and is left out if it needs more. Encoding the images is not limited.",
        show_default=False,
    ),
]
TimeLimitPerClassifier = Annotated[
    str | None,
    performance_option(
        "--time-limit",
        metavar="DURATION",
        help="Time limit of each classifier, for example 90s, 10m or 2h, summed over its folds and "
        "parameter searches. A classifier that needs more is stopped. Not available with --engine "
        "ray.",
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
        help="Read the features in blocks, or load all of them into memory. By default, they are "
        "read in blocks if they need more than half of the free memory and the classifiers support "
        "it.",
    ),
]
Engine = Annotated[
    str,
    performance_option(
        "--engine",
        metavar="NAME",
        help="Where to run: local (this machine) or ray (every machine of a Ray cluster).",
    ),
]
Address = Annotated[
    str | None,
    performance_option(
        "--address",
        metavar="ADDRESS",
        help="Address of the Ray cluster, for example auto or HOST:6379. The default is the "
        "environment variable RAY_ADDRESS. If this variable is not set, a cluster is started on "
        "this machine.",
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
    "positive": Positive,
    "accelerate": Accelerate,
}
"""Command-line options of `clipfeat.zoo.fit_options.FitOptions`, by field name.

The field ``abstain`` has no option here, because it has no effect in a benchmark.
"""

FIT_OPTIONS_OF_MODEL = {**FIT_OPTIONS, "balance": BalanceOfModel, "abstain": Abstain}
"""Command-line option of each field of `clipfeat.zoo.fit_options.FitOptions`, by field name."""

PROTOCOL_OPTIONS = {
    "cv": Folds,
    "split": SplitColumn,
    "train": TrainFiles,
    "test": TestFiles,
    "leave_one_out": LeaveOneOutColumn,
    "matrix": MatrixColumn,
    "few_shot": FewShotSizes,
    "repeats": Repeats,
}
"""Command-line option of each field of `clipfeat.cli.protocol_options.ProtocolOptions`."""

ENCODER_OPTIONS = {
    "weights": WeightsFile,
    "untrained": Untrained,
    "layers": Layers,
    "pool": Pool,
    "image_size": ImageSizes,
    "crop": Crop,
    "decode": Decoding,
    "encoder_arg": EncoderArguments,
    "precision": Precision,
    "device": Device,
}
"""Command-line options of `clipfeat.encoders.encoder_options.EncoderOptions`.

The command parses the values of ``image_size`` and ``encoder_arg`` and stores them in the fields
``image_size`` and ``arguments``.
"""

TABLE_OPTIONS = {
    "labels": LabelTable,
    "path_col": PathColumn,
    "label_col": LabelColumn,
    "group_col": GroupColumnOfTable,
}
"""Options of `SOURCE_OPTIONS` for a table of images."""

TABLE_PATH_OPTIONS = {"image_root": ImageRootFolder, "allow_remote": AllowRemote}
"""Options of `SOURCE_OPTIONS` for the files that a table names."""

GLOB_OPTIONS = {"real": RealGlobs, "fake": FakeGlobs, "generator_level": GeneratorLevel}
"""Options of `SOURCE_OPTIONS` for the labels and generators of images."""

AUDITED_SOURCE_OPTIONS = {
    **TABLE_OPTIONS,
    "labels": LabelTableOfAudit,
    "group_col": AuditedGroupColumn,
    **TABLE_PATH_OPTIONS,
    **GLOB_OPTIONS,
    "real": RealGlobsOfImages,
}
"""Options of `SOURCE_OPTIONS` for the images of an audit."""

SOURCE_OPTIONS = {
    "views": Views,
    "faces": Faces,
    "face_margin": FaceMargin,
    "face_weights": FaceWeights,
    "face_detector": FaceDetector,
    "no_face": NoFace,
    "fps": FramesPerSecond,
    "frames": FrameCount,
    **TABLE_OPTIONS,
    "merge_labels": MergeLabelsOfEmbedding,
    **TABLE_PATH_OPTIONS,
    **GLOB_OPTIONS,
}
"""Command-line option of each parameter of `clipfeat.cli.option_groups.source_options`."""

SOURCE_OPTIONS_OF_TRAINING = {
    **SOURCE_OPTIONS,
    "views": ViewsOfTraining,
    "faces": FacesOfTraining,
    "labels": LabelTableOfTraining,
    "merge_labels": MergeLabels,
}
"""Options of `SOURCE_OPTIONS` for training with a recipe."""

SOURCE_OPTIONS_OF_MODEL = {
    "fps": FramesPerSecond,
    "frames": FrameCount,
    "labels": LabelTableOfModel,
    "path_col": PathColumn,
    "label_col": LabelColumn,
    "merge_labels": MergeLabelsOfModel,
    **TABLE_PATH_OPTIONS,
    **GLOB_OPTIONS,
    "real": RealGlobsOfImages,
}
"""Options of `SOURCE_OPTIONS` for commands that use a model.

The options for faces are left out, because the model stores these settings.
"""

SOURCE_OPTIONS_OF_ROBUSTNESS = {
    **SOURCE_OPTIONS_OF_MODEL,
    "labels": LabelTableOfRobustness,
    "real": RealGlobs,
}
"""Options of `SOURCE_OPTIONS_OF_MODEL` for a command that reads no feature files."""

EXPLAINED_SOURCE_OPTIONS = {
    "fps": FramesPerSecond,
    "frames": FrameCount,
    "path_col": PathColumn,
    **TABLE_PATH_OPTIONS,
}
"""Options of `SOURCE_OPTIONS_OF_MODEL` for images whose labels are not used."""

EMBED_RESOURCES = {
    "batch_size": BatchSize,
    "num_workers": DecodeWorkers,
    "device": Device,
    "engine": Engine,
    "address": Address,
}
"""Command-line option of each field of `clipfeat.embedding.embed_resources.EmbedResources`.

``device`` is a field of `EncoderOptions`, but the help page lists it with the resources.
"""

LOCAL_EMBED_RESOURCES = {"batch_size": BatchSize, "num_workers": DecodeWorkers}
"""Options of `EMBED_RESOURCES` for commands that encode on this machine only."""

FIT_RESOURCES = {
    "time_limit": TimeLimit,
    "out_of_core": OutOfCore,
    "n_jobs": FitThreads,
    "engine": Engine,
    "address": Address,
}
"""Options of `clipfeat fit` for the parameters of `clipfeat.cli.option_groups.fit_resources`.

``out_of_core`` is a parameter of the command.
"""

BENCHMARK_RESOURCES = {
    "time_limit": TimeLimitPerClassifier,
    "n_jobs": FitThreads,
    "engine": Engine,
    "address": Address,
}
"""Options of `FIT_RESOURCES` for a benchmark, where the time limit applies to each classifier."""
