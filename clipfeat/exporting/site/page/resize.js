// Resizing of pixels as clipfeat does it: torch's antialiased interpolation of uint8 images, which
// follows Pillow. Weights are integers, and the sums are rounded to bytes after each of the two
// passes. The results are equal bit for bit.

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
};

export const INTERPOLATIONS = Object.keys(FILTERS);

function cubic(x) {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

// For each output position: the first input position, and the integer weights.
function integerWeights(inputSize, outputSize, { support, weight }) {
  const scale = inputSize / outputSize;
  const stretch = Math.max(scale, 1);
  const reach = support * stretch;
  const positions = [];
  let largest = 0;
  for (let i = 0; i < outputSize; i++) {
    const center = scale * (i + 0.5);
    const first = Math.max(Math.trunc(center - reach + 0.5), 0);
    const end = Math.min(Math.trunc(center + reach + 0.5), inputSize);
    const weights = [];
    let total = 0;
    for (let j = first; j < end; j++) {
      const w = weight((j - center + 0.5) / stretch);
      weights.push(w);
      total += w;
    }
    const normalised = weights.map((w) => (total === 0 ? w : w / total));
    largest = Math.max(largest, ...normalised);
    positions.push({ first, weights: normalised });
  }
  // As many bits as fit into 16, so that each weight is an int16.
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 2 ** 15) bits++;
  for (const position of positions) {
    position.weights = Int16Array.from(position.weights, (w) =>
      Math.trunc(w * 2 ** bits + (w < 0 ? -0.5 : 0.5)));
  }
  return { positions, bits };
}

// One pass along one axis. `pixels` has 3 bytes per pixel. `n` lines are resized, whose pixels are
// `step` bytes apart, and which begin `line` bytes apart.
function pass(pixels, out, n, { line, step }, outLayout, { positions, bits }) {
  const half = 2 ** (bits - 1);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < positions.length; i++) {
      const { first, weights } = positions[i];
      let red = half, green = half, blue = half;
      let at = row * line + first * step;
      for (let j = 0; j < weights.length; j++, at += step) {
        const w = weights[j];
        red += pixels[at] * w;
        green += pixels[at + 1] * w;
        blue += pixels[at + 2] * w;
      }
      const to = row * outLayout.line + i * outLayout.step;
      out[to] = red >> bits; // a Uint8ClampedArray limits values to 0 to 255
      out[to + 1] = green >> bits;
      out[to + 2] = blue >> bits;
    }
  }
}

// `image` is {pixels, width, height} with 3 bytes per pixel, row by row.
export function resize(image, width, height, interpolation) {
  const filter = FILTERS[interpolation];
  let { pixels, width: w, height: h } = image;
  if (w !== width) {
    const out = new Uint8ClampedArray(h * width * 3);
    pass(pixels, out, h, { line: w * 3, step: 3 }, { line: width * 3, step: 3 },
      integerWeights(w, width, filter));
    [pixels, w] = [out, width];
  }
  if (h !== height) {
    const out = new Uint8ClampedArray(height * w * 3);
    pass(pixels, out, w, { line: 3, step: w * 3 }, { line: 3, step: w * 3 },
      integerWeights(h, height, filter));
    pixels = out;
  }
  return { pixels, width, height };
}

// Python's round: halves go to the even number.
function roundHalfEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}

// The centre of an image. Where the image is smaller, the rest is black, as in torchvision.
function cropCenter(image, width, height) {
  const pad = (have, want) => Math.max(0, Math.floor((want - have) / 2));
  const left = pad(image.width, width), top = pad(image.height, height);
  const wide = Math.max(image.width, width), high = Math.max(image.height, height);
  const x0 = roundHalfEven((wide - width) / 2) - left;
  const y0 = roundHalfEven((high - height) / 2) - top;
  const pixels = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sx = x + x0, sy = y + y0;
      if (sx < 0 || sy < 0 || sx >= image.width || sy >= image.height) continue;
      const from = (sy * image.width + sx) * 3, to = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) pixels[to + c] = image.pixels[from + c];
    }
  }
  return { pixels, width, height };
}

// The pixels of one input of the model, channel by channel (3, height, width).
export function preprocess(image, notes, maxPixels) {
  const [height, width] = notes.size;
  const [a, b] = notes.resize;
  const shorter = Math.min(image.width, image.height);
  const [h, w] = b === undefined
    ? [image.height, image.width].map((side) => Math.trunc((a * side) / shorter)) : [a, b];
  if (w * h > maxPixels) throw new Error(`the resized image would have ${w}×${h} pixels`);
  const cropped = cropCenter(resize(image, w, h, notes.interpolation), width, height);
  const planes = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) planes[c * width * height + i] = cropped.pixels[3 * i + c];
  }
  return planes;
}
