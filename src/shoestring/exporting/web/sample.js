"use strict";
// From a seed to a picture: latent vectors, the walk between two of them, and the solvers of `tasks/flow/samplers.py`.

/** Standard normal numbers, the same ones for a seed: Box and Muller's, of MurmurHash3's finaliser of (seed, place). */
function normals(seed, count) {
  const mixed = (number) => {
    let bits = Math.imul(number ^ (number >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return (bits ^ (bits >>> 16)) >>> 0;
  };
  const start = mixed(seed + 1);
  const uniform = (place) => (mixed(start + Math.imul(place + 1, 0x9e3779b9)) + 0.5) / 2 ** 32;
  return Float32Array.from({ length: count }, (_, place) => (
    Math.sqrt(-2 * Math.log(uniform(2 * place))) * Math.cos(2 * Math.PI * uniform(2 * place + 1))
  ));
}

/** A point on the great circle between two vectors: weight 0 gives the first, 1 the second. */
function greatCircle(start, end, weight) {
  let [product, first, second] = [0, 0, 0];
  start.forEach((x, place) => {
    product += x * end[place];
    first += x * x;
    second += end[place] * end[place];
  });
  const angle = Math.acos(Math.min(Math.max(product / Math.sqrt(first * second), -1), 1));
  const apart = angle > 1e-3; // nearer than that, the circle is a straight line
  const before = apart ? Math.sin((1 - weight) * angle) / Math.sin(angle) : 1 - weight;
  const after = apart ? Math.sin(weight * angle) / Math.sin(angle) : weight;
  return start.map((x, place) => before * x + after * end[place]);
}

/**
 * Pixels (height, width, channels), 0..255, of a latent vector and a class.
 *
 * `stepped(fraction)` is awaited before each call of the net; when it gives false, nothing is made, and null is given.
 */
async function pictureOf(program, sampler, latent, label, stepped) {
  if (sampler.times === undefined) {
    if (!await stepped(0)) return null;
    return pixelsOfChannels(runProgram(program, { latents: latent, labels: [label] }), [1], [0]);
  }
  const { times, guided, guidance, no_class: none, mean, std } = sampler;
  let calls = 0;
  const velocity = async (x, place) => {
    if (!await stepped(Math.min(calls++ / guided.length, 1))) return null;
    const given = { images: x, times: [times[place]] };
    const asked = runProgram(program, { ...given, labels: [label] });
    if (!guided[place]) return asked;
    const guide = runProgram(program, { ...given, labels: [none] });
    return asked.map((number, k) => guide[k] + guidance * (number - guide[k]));
  };
  const images = await SOLVERS[sampler.solver](velocity, latent.map((number) => times[0] * number), times);
  return images && pixelsOfChannels(images, std, mean);
}

/** Pixels, channels last, of numbers, channels first, that are `std` * number + `mean` in 0..1. */
function pixelsOfChannels(numbers, std, mean) {
  const channels = facts.image[2];
  const count = numbers.length / channels;
  return Uint8ClampedArray.from({ length: numbers.length }, (_, place) => {
    const channel = place % channels;
    const number = numbers[channel * count + (place - channel) / channels];
    return Math.round(255 * (number * std[channel % std.length] + mean[channel % mean.length]));
  });
}

/** x + factor * direction, of arrays. */
function moved(x, factor, direction) {
  return x.map((number, k) => number + factor * direction[k]);
}

// Each carries x from the first time to the last, or gives null where a velocity is null.
const SOLVERS = {
  async euler(velocity, x, times) {
    for (let place = 0; place + 1 < times.length; place++) {
      const slope = await velocity(x, place);
      if (!slope) return null;
      x = moved(x, times[place + 1] - times[place], slope);
    }
    return x;
  },
  async heun(velocity, x, times) {
    for (let place = 0; place + 1 < times.length; place++) {
      const step = times[place + 1] - times[place];
      const slope = await velocity(x, place);
      if (!slope) return null;
      const ahead = moved(x, step, slope);
      if (times[place + 1] === 0) { x = ahead; continue; }
      const next = await velocity(ahead, place + 1);
      if (!next) return null;
      x = moved(moved(x, step / 2, slope), step / 2, next);
    }
    return x;
  },
  async multistep(velocity, x, times) {
    const logSignal = (time) => Math.log((1 - time) / time);
    let before = null;
    for (let place = 0; place + 1 < times.length; place++) {
      const [now, then] = [times[place], times[place + 1]];
      const slope = await velocity(x, place);
      if (!slope) return null;
      const image = moved(x, -now, slope);
      let aimed = image;
      if (before && then > 0) {
        const ratio = (logSignal(now) - logSignal(before.time)) / (logSignal(then) - logSignal(now));
        aimed = image.map((number, k) => number + (number - before.image[k]) / (2 * ratio));
      }
      x = moved(x.map((number) => (then / now) * number), (1 - then) - (1 - now) * then / now, aimed);
      before = now < 1 ? { image, time: now } : null;
    }
    return x;
  },
};
