"""Faces in videos: crop them, train a model on them, and predict the classes of new videos.

Each face of a sampled frame is a row of features. A projection that is trained with a triplet loss
maps the rows to 512 numbers of unit length, which a support vector machine classifies. The
probabilities of all faces of a video are averaged::

    python examples/faces_in_videos.py crop videos/ crops/
    python examples/faces_in_videos.py train videos/ model.clipfeat
    python examples/faces_in_videos.py infer new/ predictions.csv --model model.clipfeat
"""

import argparse
from tempfile import TemporaryDirectory

import clipfeat

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("step", choices=["crop", "train", "infer"])
parser.add_argument("videos", help="folder of videos, with a subfolder for each class")
parser.add_argument("output", help="folder of faces (crop), model file (train) or table (infer)")
parser.add_argument("--model", default="model.clipfeat", help="model file for infer")
parser.add_argument("--frames", type=int, default=8, help="number of frames of a video")
parser.add_argument("--detector", help="name of the face detector, such as lbp or yunet")
parser.add_argument("--face-weights", help="file of the detector's weights, if it needs one")
parser.add_argument("--encoder", default="efficientnet-lite0")
parser.add_argument("--image-size", type=int, help="default: the encoder's own")
parser.add_argument("--folds", type=int, default=5)
args = parser.parse_args()

frames = clipfeat.FrameSampling(frames=args.frames)
faces = clipfeat.open_finder("all", weights=args.face_weights, detector=args.detector)
inputs = clipfeat.SourceOptions(frames=frames, faces=faces)

if args.step == "crop":
    report = clipfeat.crop_faces(args.videos, args.output, inputs=inputs)
    print(f"{len(report.files)} faces, {len(report.failures)} frames without a face")

if args.step == "train":
    options = clipfeat.EncoderOptions(image_size=args.image_size, precision="fp32")
    with TemporaryDirectory() as folder:
        out = f"{folder}/faces.h5"
        clipfeat.embed(args.videos, out, encoder=args.encoder, options=options, inputs=inputs)
        features = clipfeat.load(out)
    model = clipfeat.fit(features, "triplet+svm", cv=args.folds)  # no video is in two folds
    model.save(args.output, overwrite=True)
    table = clipfeat.Leaderboard.from_rows(model.scores).to_pandas()
    columns = ["classifier", "balanced_accuracy", "accuracy", "roc_auc", "log_loss"]
    print(f"{features}\n{table[columns].to_string(index=False, float_format='{:.3f}'.format)}")

if args.step == "infer":
    inputs = clipfeat.SourceOptions(frames=frames)  # the model states how its faces are cropped
    predictions = clipfeat.predict(
        args.model, args.videos, inputs=inputs, face_weights=args.face_weights
    )
    predictions.to_pandas().to_csv(args.output, index=False)
    print(predictions.to_pandas().round(3).to_string(index=False))
    print({name: round(value, 3) for name, value in predictions.scores().items()})
