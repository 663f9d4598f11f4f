"use strict";
// A net in integers, as `integer_graph.py` defines it: the same numbers as its simulation, to the bit. Activations are
// Int8Arrays in the order (height, width, channels). Products of integers stay below 2^53, which doubles hold exactly.

/** The graph in the bytes of a .safetensors file, with typed arrays where it names them. */
function readIntegerNet(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const arrayOf = { I8: Int8Array, I32: Int32Array };
  const restored = (value) => {
    if (Array.isArray(value)) return value.map(restored);
    if (value === null || typeof value !== "object") return value;
    if ("array" in value) {
      const { dtype, shape, data_offsets: [from, to] } = header[value.array];
      const array = new arrayOf[dtype](bytes.slice(start + from, start + to).buffer);
      return Object.assign(array, { shape });
    }
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, restored(each)]));
  };
  const net = restored(JSON.parse(header.__metadata__.graph));
  for (const operator of net.operators) {
    if (operator.type === "Convolution") prepare(operator);
  }
  return net;
}

/** Mirrored kernels become kernels of their own. */
function prepare(convolution) {
  const { weight, mirror } = convolution;
  const [kernels, height, width, depth] = weight.shape;
  convolution.kernelShape = [height, width, depth];
  if (mirror === "none") return;
  const half = mirror === "twins" ? depth / 2 : 0;
  const all = new Int8Array(2 * weight.length);
  all.set(weight);
  let place = weight.length;
  for (let row = 0; row < kernels * height; row++) {
    for (let column = width - 1; column >= 0; column--) {
      const from = (row * width + column) * depth;
      for (let channel = 0; channel < depth; channel++) {
        // numpy's roll by half: what was at channel - half.
        all[place++] = weight[from + (channel + depth - half) % depth];
      }
    }
  }
  convolution.weight = all;
}

/** The logits of one image, Int32Array or array of whole numbers. `pixels`: (height, width, channels), 0..255. */
function integerLogits(net, pixels) {
  const [height, width, channels] = net.image;
  if (pixels.length !== height * width * channels) {
    throw new Error(`${pixels.length} pixels, not ${height} x ${width} x ${channels}`);
  }
  if (net.digit_sum === null) return run(net, Int8Array.from(pixels, (pixel) => pixel - 128));
  return sumOfDigits(digitLogits(net, pixels), net.digit_sum).slice(1, net.num_classes + 1);
}

/** Of a net that reads a digit in each channel: the ten logits of each. */
function digitLogits(net, pixels) {
  const [height, width, channels] = net.image;
  return Array.from({ length: channels }, (_, channel) => {
    const plane = new Int8Array(height * width);
    for (let place = 0; place < plane.length; place++) plane[place] = pixels[place * channels + channel] - 128;
    return run(net, plane);
  });
}

function run(net, image) {
  const values = { image };
  for (const operator of net.operators) {
    values[operator.output] = OPERATORS[operator.type](operator, values, net.activations);
  }
  return values[net.operators[net.operators.length - 1].output];
}

const OPERATORS = {
  Convolution: convolution,
  Mean(operator, values, activations) {
    const input = values[operator.input];
    const channels = activations[operator.input].shape[2];
    const sums = new Float64Array(channels).fill(operator.bias);
    for (let place = 0; place < input.length; place++) sums[place % channels] += input[place];
    return requantised(sums, operator, activations);
  },
  MaxPool: largest,
  Add({ first, second, weights, zero_points: zeros, ...operator }, values, activations) {
    const [a, b] = [values[first], values[second]];
    const sums = new Float64Array(a.length);
    for (let place = 0; place < a.length; place++) {
      sums[place] = weights[0] * (a[place] - zeros[0]) + weights[1] * (b[place % b.length] - zeros[1]);
    }
    return requantised(sums, operator, activations);
  },
  Multiply({ first, second, zero_points: zeros, ...operator }, values, activations) {
    const [a, b] = [values[first], values[second]];
    const products = new Float64Array(a.length);
    for (let place = 0; place < a.length; place++) {
      products[place] = (a[place] - zeros[0]) * (b[place % b.length] - zeros[1]);
    }
    return requantised(products, operator, activations);
  },
  Lookup: ({ input, table }, values) => lookedUp(values[input].slice(), table),
  Slice({ input, start, stop }, values, activations) {
    const channels = activations[input].shape[2];
    return values[input].filter((_, place) => place % channels >= start && place % channels < stop);
  },
  Concatenate({ inputs, tables, output }, values, activations) {
    const [height, width, channels] = activations[output].shape;
    const joined = new Int8Array(height * width * channels);
    let start = 0;
    inputs.forEach((name, which) => {
      const depth = activations[name].shape[2];
      const part = tables[which] ? lookedUp(values[name].slice(), tables[which]) : values[name];
      for (let pixel = 0; pixel < height * width; pixel++) {
        joined.set(part.subarray(pixel * depth, (pixel + 1) * depth), pixel * channels + start);
      }
      start += depth;
    });
    return joined;
  },
};

function convolution(operator, values, activations) {
  const { weight, bias, residual, groups } = operator;
  const shape = activations[operator.input].shape;
  const [height, width, outputs] = activations[operator.output].shape;
  const patch = new Int8Array(operator.kernelShape.reduce((a, b) => a * b));
  const sums = new Float64Array(height * width * outputs);
  const each = outputs / groups;
  const depthwise = each === 1 && groups === shape[2];
  let place = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (depthwise) {
        productsOfChannels(operator, values[operator.input], shape, y, x, sums.subarray(place, place + outputs));
        place += outputs;
      } else {
        for (let group = 0; group < groups; group++) {
          gather(operator, values[operator.input], shape, group, y, x, patch);
          products(patch, weight, bias, group * each, (group + 1) * each, sums, place);
          place += each;
        }
      }
    }
  }
  if (residual !== null) {
    const added = values[residual.input];
    const factor = 2 ** residual.shift;
    for (place = 0; place < sums.length; place++) {
      sums[place] = sums[place] * factor + residual.weight[place % outputs] * (added[place] - residual.zero_point);
    }
  }
  return requantised(sums, operator, activations);
}

/** Copies into `patch` what the kernels of a group see at an output: (kernel height, kernel width, depth). */
function gather(operator, input, [height, width, channels], group, y, x, patch) {
  const [kernelHeight, kernelWidth, depth] = operator.kernelShape;
  const top = y * operator.stride[0] - operator.padding[0];
  const left = x * operator.stride[1] - operator.padding[1];
  const first = group * depth;
  let to = 0;
  for (let i = 0; i < kernelHeight; i++) {
    const row = top + i * operator.dilation[0];
    for (let j = 0; j < kernelWidth; j++) {
      const column = left + j * operator.dilation[1];
      const inside = row >= 0 && row < height && column >= 0 && column < width;
      const from = inside ? (row * width + column) * channels + first : first;
      const source = inside ? input : operator.padding_value;
      for (let channel = 0; channel < depth; channel++) patch[to++] = source[from + channel];
    }
  }
}

/** Writes bias and sum of products of the outputs start..end at one pixel, four kernels at a time: the hot loop. */
function products(patch, weight, bias, start, end, sums, place) {
  const size = patch.length;
  let output = start;
  for (; output + 4 <= end; output += 4) {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let at = output * size;
    for (let k = 0; k < size; k++, at++) {
      const value = patch[k];
      a = (a + value * weight[at]) | 0;
      b = (b + value * weight[at + size]) | 0;
      c = (c + value * weight[at + 2 * size]) | 0;
      d = (d + value * weight[at + 3 * size]) | 0;
    }
    sums[place++] = a + bias[output];
    sums[place++] = b + bias[output + 1];
    sums[place++] = c + bias[output + 2];
    sums[place++] = d + bias[output + 3];
  }
  for (; output < end; output++) {
    let sum = 0;
    for (let k = 0, at = output * size; k < size; k++, at++) sum = (sum + patch[k] * weight[at]) | 0;
    sums[place++] = sum + bias[output];
  }
}

/** Writes bias and sum of products at one pixel where each channel has a kernel of its own. */
function productsOfChannels(operator, input, [height, width, channels], y, x, sums) {
  const { weight, bias, stride, padding, dilation } = operator;
  const [kernelHeight, kernelWidth] = operator.kernelShape;
  const size = kernelHeight * kernelWidth;
  sums.set(bias);
  for (let k = 0; k < size; k++) {
    const column = x * stride[1] - padding[1] + (k % kernelWidth) * dilation[1];
    const row = y * stride[0] - padding[0] + Math.floor(k / kernelWidth) * dilation[0];
    const inside = row >= 0 && row < height && column >= 0 && column < width;
    const source = inside ? input : operator.padding_value;
    const from = inside ? (row * width + column) * channels : 0;
    for (let channel = 0; channel < channels; channel++) {
      sums[channel] += source[from + channel] * weight[channel * size + k];
    }
  }
}

/** Accumulators in the integers of an output: q = floor((acc * multiplier + 2^(shift - 1)) / 2^shift) + zero point. */
function requantised(sums, operator, activations) {
  const { multiplier, shift, zero_point: zero, table } = operator.requantisation;
  const output = activations[operator.output];
  const halves = Float64Array.from(shift, (each) => 2 ** (each - 1));
  const scales = Float64Array.from(shift, (each) => 2 ** -each); // a power of two: as exact as the division
  const last = multiplier.length - 1;
  const whole = output.bits === 32;
  const found = whole ? new Int32Array(sums.length) : new Int8Array(sums.length);
  for (let place = 0, channel = 0; place < sums.length; place++) {
    const rounded = Math.floor((sums[place] * multiplier[channel] + halves[channel]) * scales[channel]);
    found[place] = whole ? rounded : Math.min(Math.max(rounded + zero, -128), 127);
    channel = channel === last ? 0 : channel + 1;
  }
  return table ? lookedUp(found, table) : found;
}

function lookedUp(values, table) {
  for (let place = 0; place < values.length; place++) values[place] = table[values[place] + 128];
  return values;
}

function largest({ input, output, kernel, stride, padding }, values, activations) {
  const [inHeight, inWidth, channels] = activations[input].shape;
  const [height, width] = activations[output].shape;
  const found = new Int8Array(height * width * channels).fill(-128);
  for (let place = 0; place < found.length; place++) {
    const channel = place % channels;
    const pixel = (place - channel) / channels;
    const top = Math.floor(pixel / width) * stride[0] - padding[0];
    const left = (pixel % width) * stride[1] - padding[1];
    for (let row = Math.max(top, 0); row < Math.min(top + kernel[0], inHeight); row++) {
      for (let column = Math.max(left, 0); column < Math.min(left + kernel[1], inWidth); column++) {
        found[place] = Math.max(found[place], values[input][(row * inWidth + column) * channels + channel]);
      }
    }
  }
  return found;
}

/** Log-probabilities of the sum of digits from those of each, in units of log2(x) / 256; see `DigitSum`. */
function sumOfDigits(digits, { exp2, log2 }) {
  return digits.slice(1).reduce((total, digit) => (
    Array.from({ length: total.length + digit.length - 1 }, (_, sum) => {
      const terms = [];
      for (let d = 0; d < digit.length; d++) {
        if (sum - d >= 0 && sum - d < total.length) terms.push(total[sum - d] + digit[d]);
      }
      const most = Math.max(...terms);
      let whole = 0;
      for (const term of terms) whole += exp2[(most - term) % 256] >> Math.min(Math.floor((most - term) / 256), 31);
      let halvings = 0;
      for (; whole >= 2 ** 25; whole = Math.floor(whole / 2)) halvings++;
      return most + 256 * halvings + log2[(whole - 2 ** 24 + 2 ** 15) >> 16];
    })
  ), Array.from(digits[0]));
}
