"""A Hugging Face Space that classifies images with a model file of clipfeat."""

import os
from contextlib import ExitStack
from pathlib import Path

import gradio as gr

from clipfeat import load_model
from clipfeat.serving.opening import open_serving

MODEL = load_model(os.environ.get("MODEL", "model.clipfeat"))
OPENED = ExitStack()
SERVING = OPENED.enter_context(open_serving(MODEL))  # the encoders stay open


def classify(path: str | None) -> gr.Label:
    """Show the verdict and probabilities. The image is decoded in an isolated process."""
    if path is None:
        return gr.Label(value={}, label="Probabilities")
    (future,) = SERVING.batcher.submit([Path(path).read_bytes()])
    answer = future.result()
    if answer.error:
        raise gr.Error(answer.error)
    p = dict(zip(MODEL.classes, answer.probabilities, strict=True))
    # The threshold and the abstention of the model decide, not the largest probability.
    return gr.Label(value=p, label=answer.predicted + " (unsure)" * bool(answer.is_unsure))


demo = gr.Interface(
    classify,
    gr.Image(type="filepath", image_mode=None, label="Image"),  # None: the file is not changed
    gr.Label(num_top_classes=5, label="Probabilities"),
    title=" or ".join(MODEL.classes[:5]) + "?",
    description=f"Probabilities of {' + '.join(MODEL.members)} on {MODEL.specs[0].title}.",
    flagging_mode="never",
)

if __name__ == "__main__":
    demo.launch()
