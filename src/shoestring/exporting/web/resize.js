"use strict";
// Pillow's ImageOps.fit with its bicubic filter (libImaging/Resample.c, 8 bits a channel), byte for byte: what a net was
// trained on. A canvas resizes otherwise, which changes one answer in seven.

const PRECISION = 22; // bits behind the point of the filter's weights

/**
 * RGB of size x size, (size, size, 3), of RGBA of any size: the shorter side resized, the centre kept.
 *
 * `tallFirst`: of pictures whose height shrinks more than twice as much as their width, the height first, which rounds
 * otherwise: newer releases of Pillow do so, others always take the width first.
 */
function fitted(rgba, width, height, size, tallFirst) {
  // The sides and corners of Pillow's box are single floats.
  const side = Math.min(width, height);
  const [left, top] = [Math.fround((width - side) * 0.5), Math.fround((height - side) * 0.5)];
  const [right, bottom] = [Math.fround((width - side) * 0.5 + side), Math.fround((height - side) * 0.5 + side)];
  const across = width === size && left === 0 ? null : weights(width, left, right, size);
  const down = height === size && top === 0 ? null : weights(height, top, bottom, size);
  let rgb = new Uint8Array(width * height * 3);
  for (let to = 0, from = 0; to < rgb.length; to += 3, from += 4) {
    for (let channel = 0; channel < 3; channel++) rgb[to + channel] = rgba[from + channel];
  }
  if (tallFirst && height > size && height - size > 2 * (width - size)) {
    if (down) rgb = resampledDown(rgb, width, down, size);
    return across ? resampledAcross(rgb, width, across, size) : rgb;
  }
  if (across) rgb = resampledAcross(rgb, width, across, size);
  return down ? resampledDown(rgb, size, down, size) : rgb;
}

/** Pixels (rows, width, 3) to (rows, outputs, 3). */
function resampledAcross(pixels, width, filter, outputs) {
  const rows = pixels.length / width / 3;
  const found = new Uint8Array(rows * outputs * 3);
  for (let row = 0; row < rows; row++) resampled(pixels, row * width * 3, 3, filter, found, row * outputs * 3, 3);
  return found;
}

/** Pixels (rows, width, 3) to (outputs, width, 3). */
function resampledDown(pixels, width, filter, outputs) {
  const found = new Uint8Array(outputs * width * 3);
  for (let column = 0; column < width; column++) {
    resampled(pixels, column * 3, width * 3, filter, found, column * 3, width * 3);
  }
  return found;
}

/** One line of pixels, from where it starts, with a distance of neighbours, to another. */
function resampled(pixels, start, step, { starts, counts, kernels, reach }, found, to, toStep) {
  for (let output = 0; output < starts.length; output++, to += toStep) {
    const from = start + starts[output] * step;
    for (let channel = 0; channel < 3; channel++) {
      let sum = 2 ** (PRECISION - 1);
      for (let k = 0; k < counts[output]; k++) sum += pixels[from + k * step + channel] * kernels[output * reach + k];
      found[to + channel] = Math.min(Math.max(sum >> PRECISION, 0), 255);
    }
  }
}

/** For each output along an axis, from where on and how many inputs count, and their weights in fixed point. */
function weights(length, from, to, outputs) {
  const scale = Math.fround(to - from) / outputs;
  const widening = Math.max(scale, 1);
  const support = 2 * widening;
  const reach = Math.ceil(support) * 2 + 1;
  const kernels = new Int32Array(outputs * reach);
  const starts = [];
  const counts = [];
  for (let output = 0; output < outputs; output++) {
    const centre = from + (output + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), length) - start;
    const exact = Array.from({ length: count }, (_, k) => bicubic((k + start - centre + 0.5) * (1 / widening)));
    let whole = 0;
    for (const each of exact) whole += each;
    exact.forEach((each, k) => {
      const share = whole === 0 ? each : each / whole;
      kernels[output * reach + k] = Math.trunc(share * 2 ** PRECISION + (share < 0 ? -0.5 : 0.5));
    });
    starts.push(start);
    counts.push(count);
  }
  return { starts, counts, kernels, reach };
}

/** Keys' cubic with a = -0.5, as Pillow computes it. */
function bicubic(x) {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}
