"use strict";
// A net in floating point, as `float_program.py` defines it. A tensor is { data: Float32Array, shape }, in torch's order
// of axes; sums are taken in doubles.

/** The program of a graph and the bytes of its numbers. */
function readProgram(graph, bytes) {
  const floats = new Float32Array(bytes.slice(0, 4 * graph.floats).buffer);
  const upper = new Int8Array(bytes.buffer, bytes.byteOffset + 4 * graph.floats, graph.integers);
  const lower = bytes.subarray(4 * graph.floats + graph.integers);
  const rest = graph.bits - 8;
  const integer = (place) => {
    let found = upper[place];
    for (let bit = place * rest; bit < (place + 1) * rest; bit++) found = 2 * found + (lower[bit >> 3] >> (7 - bit % 8) & 1);
    return found;
  };
  const constants = {};
  for (const [name, { shape, floats: first, integers, axis, mirror }] of Object.entries(graph.constants)) {
    const count = size(shape) / (mirror ? 2 : 1);
    let data = floats.subarray(first, first + count);
    if (integers !== undefined) {
      const inner = size(shape.slice(axis + 1));
      data = new Float32Array(count);
      for (let k = 0; k < count; k++) data[k] = integer(integers + k) * floats[first + Math.floor(k / inner) % shape[axis]];
    }
    constants[name] = { data: mirror ? withTwins(data, shape, mirror) : data, shape };
  }
  return { inputs: graph.inputs, steps: graph.steps, constants };
}

/** All kernels of a shape, (outputs, channels, height, width), given the first half; `mirror` as in `mirror.py`. */
function withTwins(held, [outputs, channels, height, width], mirror) {
  const all = new Float32Array(2 * held.length);
  all.set(held);
  const half = mirror === "twins" ? channels / 2 : 0;
  let place = held.length;
  for (let kernel = 0; kernel < outputs / 2; kernel++) {
    for (let channel = 0; channel < channels; channel++) {
      const from = (kernel * channels + (channel + half) % channels) * height;
      for (let row = 0; row < height; row++) {
        for (let column = width - 1; column >= 0; column--) all[place++] = held[(from + row) * width + column];
      }
    }
  }
  return all;
}

/** What the net answers, a Float32Array, to arrays by the names of its inputs. */
function runProgram({ inputs, steps, constants }, given) {
  const values = { ...constants };
  for (const [name, shape] of Object.entries(inputs)) {
    if (given[name].length !== size(shape)) throw new Error(`${name}: ${given[name].length} numbers, not ${size(shape)}`);
    values[name] = { data: Float32Array.from(given[name]), shape };
  }
  for (const step of steps) {
    values[step.output] = { data: OPERATORS[step.name](step, ...step.inputs.map((name) => values[name])), shape: step.shape };
  }
  return values[steps[steps.length - 1].output].data;
}

function size(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

/** How far apart neighbours along each axis are. */
function stridesOf(shape) {
  return shape.map((_, axis) => size(shape.slice(axis + 1)));
}

/** The numbers of a tensor of a shape, each axis of which runs over data with a stride; 0 repeats. */
function gathered(data, shape, strides, offset = 0) {
  const found = new Float32Array(size(shape));
  const index = shape.map(() => 0);
  for (let place = 0, from = offset; place < found.length; place++) {
    found[place] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return found;
}

/** The numbers of a tensor repeated as a larger shape asks, as torch broadcasts. */
function broadcast({ data, shape }, wanted) {
  if (data.length === size(wanted)) return data;
  const strides = stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
  return gathered(data, wanted, [...Array(wanted.length - shape.length).fill(0), ...strides]);
}

/**
 * found[i][j] = sum over k of first[i][k] * second[j][k]: products of rows, (rows, columns).
 *
 * Four rows by two at a time, so that each number that is read counts for several products. Beyond the last row, the
 * last one is computed again.
 */
function products(first, second, rows, columns, depth) {
  const found = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i += 4) {
    const i1 = Math.min(i + 1, rows - 1), i2 = Math.min(i + 2, rows - 1), i3 = Math.min(i + 3, rows - 1);
    const from0 = i * depth, from1 = i1 * depth, from2 = i2 * depth, from3 = i3 * depth;
    for (let j = 0; j < columns; j += 2) {
      const j1 = Math.min(j + 1, columns - 1);
      const left = j * depth, right = j1 * depth;
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let k = 0; k < depth; k++) {
        const x = second[left + k], y = second[right + k];
        const w0 = first[from0 + k], w1 = first[from1 + k], w2 = first[from2 + k], w3 = first[from3 + k];
        a0 += w0 * x;
        b0 += w0 * y;
        a1 += w1 * x;
        b1 += w1 * y;
        a2 += w2 * x;
        b2 += w2 * y;
        a3 += w3 * x;
        b3 += w3 * y;
      }
      found[i * columns + j] = a0;
      found[i * columns + j1] = b0;
      found[i1 * columns + j] = a1;
      found[i1 * columns + j1] = b1;
      found[i2 * columns + j] = a2;
      found[i2 * columns + j1] = b2;
      found[i3 * columns + j] = a3;
      found[i3 * columns + j1] = b3;
    }
  }
  return found;
}

/** Of a matrix (rows, columns) its transpose. */
function transposed(data, rows, columns) {
  return gathered(data, [columns, rows], [1, columns]);
}

const unary = (compute) => (step, { data }) => data.map((x) => compute(x, step));
const binary = (compute) => ({ shape }, first, second) => {
  const [a, b] = [broadcast(first, shape), broadcast(second, shape)];
  return a.map((x, place) => compute(x, b[place]));
};

const OPERATORS = {
  add: binary((x, y) => x + y),
  subtract: binary((x, y) => x - y),
  multiply: binary((x, y) => x * y),
  divide: binary((x, y) => x / y),
  equal: binary((x, y) => (x === y ? 1 : 0)),
  relu: unary((x) => Math.max(x, 0)),
  leaky_relu: unary((x, { slope }) => (x > 0 ? x : x * slope)),
  clamp: unary((x, { least, most }) => Math.min(Math.max(x, least ?? -Infinity), most ?? Infinity)),
  power: unary((x, { exponent }) => x ** exponent),
  tanh: unary((x) => Math.tanh(x)),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  silu: unary((x) => x / (1 + Math.exp(-x))),
  log: unary((x) => Math.log(x)),
  exp: unary((x) => Math.exp(x)),
  cos: unary((x) => Math.cos(x)),
  sin: unary((x) => Math.sin(x)),
  sqrt: unary((x) => Math.sqrt(x)),
  rsqrt: unary((x) => 1 / Math.sqrt(x)),
  reciprocal: unary((x) => 1 / x),
  neg: unary((x) => -x),
  abs: unary((x) => Math.abs(x)),
  reshape: (_, { data }) => data,
  expand: ({ shape }, x) => broadcast(x, shape),
  permute({ shape, order }, x) {
    const strides = stridesOf(x.shape);
    return gathered(x.data, shape, order.map((axis) => strides[axis]));
  },
  slice({ shape, axis, start, step }, x) {
    const strides = stridesOf(x.shape);
    const offset = start * strides[axis];
    strides[axis] *= step;
    return gathered(x.data, shape, strides, offset);
  },
  concatenate({ shape, axis }, ...parts) {
    const found = new Float32Array(size(shape));
    const whole = size(shape.slice(axis));
    let offset = 0;
    for (const part of parts) {
      const run = size(part.shape.slice(axis));
      for (let from = 0, to = offset; from < part.data.length; from += run, to += whole) {
        found.set(part.data.subarray(from, from + run), to);
      }
      offset += run;
    }
    return found;
  },
  mean({ axes }, x) {
    const strides = stridesOf(x.shape);
    const order = [...x.shape.keys()].filter((axis) => !axes.includes(axis)).concat(axes);
    const count = size(axes.map((axis) => x.shape[axis]));
    const data = gathered(x.data, order.map((axis) => x.shape[axis]), order.map((axis) => strides[axis]));
    return Float32Array.from({ length: data.length / count }, (_, place) => {
      let sum = 0;
      for (let k = place * count; k < (place + 1) * count; k++) sum += data[k];
      return sum / count;
    });
  },
  linear(_, x, weight, bias) {
    const [outputs, depth] = weight.shape;
    const found = products(x.data, weight.data, x.data.length / depth, outputs, depth);
    return bias ? found.map((sum, place) => sum + bias.data[place % outputs]) : found;
  },
  convolve({ shape, stride, padding, dilation, groups }, x, weight, bias) {
    const [, outputs, height, width] = shape;
    const [, depth, ...kernel] = weight.shape;
    const pixels = height * width;
    const length = depth * kernel[0] * kernel[1];
    const each = outputs / groups;
    const found = new Float32Array(outputs * pixels);
    for (let group = 0; group < groups; group++) {
      const patches = patchesOf(x, group * depth, depth, kernel, [height, width], { stride, padding, dilation });
      const weights = weight.data.subarray(group * each * length, (group + 1) * each * length);
      found.set(products(weights, patches, each, pixels, length), group * each * pixels);
    }
    return bias ? found.map((sum, place) => sum + bias.data[Math.floor(place / pixels)]) : found;
  },
  // Every pixel adds its kernels to the pixels around its place.
  convolve_transposed({ shape, stride, padding }, x, weight, bias) {
    const [, outputs, height, width] = shape;
    const [, channels, inHeight, inWidth] = x.shape;
    const [down, across] = weight.shape.slice(2);
    const places = outputs * down * across;
    const kernels = transposed(weight.data, channels, places);
    const added = products(transposed(x.data, channels, inHeight * inWidth), kernels, inHeight * inWidth, places, channels);
    const found = new Float32Array(outputs * height * width);
    for (let from = 0; from < added.length; from++) {
      const place = from % places;
      const pixel = (from - place) / places;
      const row = Math.floor(pixel / inWidth) * stride[0] - padding[0] + Math.floor(place / across) % down;
      const column = (pixel % inWidth) * stride[1] - padding[1] + place % across;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      found[(Math.floor(place / (down * across)) * height + row) * width + column] += added[from];
    }
    return bias ? found.map((sum, place) => sum + bias.data[Math.floor(place / (height * width))]) : found;
  },
  // Of queries, keys and values (..., tokens, features).
  attend(_, query, key, value) {
    const [tokens, features] = query.shape.slice(-2);
    const [others, outputs] = value.shape.slice(-2);
    const found = new Float32Array(size(query.shape.slice(0, -1)) * outputs);
    for (let head = 0; head < found.length / (tokens * outputs); head++) {
      const part = ({ data }, rows, columns) => data.subarray(head * rows * columns, (head + 1) * rows * columns);
      const scores = products(part(query, tokens, features), part(key, others, features), tokens, others, features);
      for (let row = 0; row < tokens; row++) {
        const mine = scores.subarray(row * others, (row + 1) * others);
        const most = mine.reduce((a, b) => Math.max(a, b));
        let whole = 0;
        for (let k = 0; k < others; k++) whole += mine[k] = Math.exp((mine[k] - most) / Math.sqrt(features));
        for (let k = 0; k < others; k++) mine[k] /= whole;
      }
      const values = transposed(part(value, others, outputs), others, outputs);
      found.set(products(scores, values, tokens, outputs, others), head * tokens * outputs);
    }
    return found;
  },
  average({ shape, kernel, stride }, x) {
    const [, channels, height, width] = shape;
    const patch = kernel[0] * kernel[1];
    const how = { stride, padding: [0, 0], dilation: [1, 1] };
    const found = new Float32Array(channels * height * width);
    for (let channel = 0; channel < channels; channel++) {
      const patches = patchesOf(x, channel, 1, kernel, [height, width], how);
      for (let k = 0; k < patches.length; k++) found[channel * height * width + Math.floor(k / patch)] += patches[k] / patch;
    }
    return found;
  },
  repeat_pixels({ shape, factor }, x) {
    const [, channels, height, width] = x.shape;
    return gathered(x.data, [channels, height, factor, width, factor], [height * width, width, 0, 1, 0]);
  },
};

/** What each pixel of a convolution's output reads: (pixels, depth * kernel height * kernel width); 0 outside. */
function patchesOf({ data, shape }, first, depth, kernel, [height, width], { stride, padding, dilation }) {
  const [, , inHeight, inWidth] = shape;
  const found = new Float32Array(height * width * depth * kernel[0] * kernel[1]);
  let place = 0;
  for (let y = -padding[0]; y < height * stride[0] - padding[0]; y += stride[0]) {
    for (let x = -padding[1]; x < width * stride[1] - padding[1]; x += stride[1]) {
      for (let channel = first; channel < first + depth; channel++) {
        for (let i = 0, row = y; i < kernel[0]; i++, row += dilation[0]) {
          const from = (channel * inHeight + row) * inWidth;
          const inside = row >= 0 && row < inHeight;
          for (let j = 0, column = x; j < kernel[1]; j++, column += dilation[1], place++) {
            if (inside && column >= 0 && column < inWidth) found[place] = data[from + column];
          }
        }
      }
    }
  }
  return found;
}
