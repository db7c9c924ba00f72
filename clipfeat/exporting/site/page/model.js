// The exported model, run by onnxruntime-web in one thread of WebAssembly.

import * as ort from "./onnxruntime/ort.js";
import { preprocess } from "./resize.js";

const MAX_PIXELS = 89_478_485; // as in clipfeat, which refuses larger images
const TIE = 1e-6; // probabilities that differ less are equal, and the first class is predicted

ort.env.wasm.numThreads = 1; // more threads need headers that most static hosts do not send

export async function load() {
  const [notes, graph] = await Promise.all([
    fetched("model.json").then((response) => response.json()),
    fetched("model.onnx").then((response) => response.arrayBuffer()),
  ]);
  const session = await ort.InferenceSession.create(new Uint8Array(graph),
    { executionProviders: ["wasm"] });
  return { notes, session };
}

async function fetched(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} cannot be loaded (${response.status})`);
  return response;
}

// The upright pixels of a file on white, without colour management, as clipfeat decodes images.
export async function decode(file) {
  const bitmap = await createImageBitmap(file, {
    colorSpaceConversion: "none", imageOrientation: "from-image", premultiplyAlpha: "none",
  });
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) throw new Error(`it has ${width * height} pixels`);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, width, height).data;
    const pixels = new Uint8ClampedArray(width * height * 3);
    for (let from = 0, to = 0; from < rgba.length; from += 4) {
      pixels[to++] = rgba[from];
      pixels[to++] = rgba[from + 1];
      pixels[to++] = rgba[from + 2];
    }
    return { pixels, width, height };
  } finally {
    bitmap.close();
  }
}

// The probabilities of the classes for the pixels of an image.
export async function predict({ notes, session }, image) {
  const feeds = {};
  for (const input of notes.inputs) {
    const pixels = preprocess(image, input, MAX_PIXELS);
    feeds[input.name] = new ort.Tensor("uint8", pixels, [1, 3, ...input.size]);
  }
  const results = await session.run(feeds);
  return Array.from(results[notes.output].data);
}

// The index of the predicted class. The model is unsure unless this class alone is plausible.
// clipfeat/exporting/notes.py compares this rule, in Python, with the model.
export function verdict(notes, probabilities) {
  const { threshold, smallest } = notes;
  const most = Math.max(...probabilities) - TIE;
  const predicted = threshold === null
    ? probabilities.findIndex((p) => p >= most) : Number(probabilities[1] > threshold);
  const unsure = smallest !== null
    && probabilities.some((p, i) => (p >= smallest[i]) !== (i === predicted));
  return { predicted, unsure };
}
