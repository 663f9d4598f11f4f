"use strict";
// The page of a classifier: a picture from a file, the clipboard, the camera or drawn by hand, and what the net answers.

const SHOWN = 5; // classes
const PAUSE = 150; // milliseconds between two looks through the camera
const PAD = 280; // pixels of a drawing's side
const PAD_NAMES = { 1: ["digit"], 3: ["red", "green", "blue"] };
const PAD_COLOURS = { 1: ["#ffffff"], 3: ["#ff5a5a", "#4fd06a", "#6a9bff"] };

const element = (name) => document.getElementById(name);
const facts = JSON.parse(element("facts").textContent);
const [side, , channels] = facts.image;
let net = null;

/** What the net answers to pixels (side, side, channels): logits, probabilities and the digits it read, if it reads any. */
function classify(pixels) {
  const scale = net.activations[net.operators[net.operators.length - 1].output].scale;
  const logits = integerLogits(net, pixels);
  const digits = net.digit_sum === null ? null : digitLogits(net, pixels).map((each) => best(each));
  return { logits, probabilities: softmax(logits, scale), digits };
}

function softmax(logits, scale) {
  const most = Math.max(...logits);
  const shares = Array.from(logits, (logit) => Math.exp((logit - most) * scale));
  const whole = shares.reduce((sum, each) => sum + each);
  return shares.map((each) => each / whole);
}

function best(values) {
  return values.reduce((top, value, place) => (value > values[top] ? place : top), 0);
}

/** The pixels of RGB (n pixels, 3) in as many channels as the net sees; greys are rounded means. */
function inChannels(rgb) {
  if (channels === 3) return rgb;
  return Uint8Array.from({ length: rgb.length / 3 }, (_, place) => (
    Math.round((rgb[3 * place] + rgb[3 * place + 1] + rgb[3 * place + 2]) / 3)
  ));
}

function answer(pixels) {
  const began = performance.now();
  const { probabilities, digits } = classify(pixels);
  const took = performance.now() - began;
  show(pixels);
  const order = probabilities.map((_, label) => label).sort((a, b) => probabilities[b] - probabilities[a]);
  element("answer").classList.remove("none");
  element("answer").textContent = facts.classes[order[0]];
  element("classes").replaceChildren(...order.slice(0, SHOWN).map((label) => {
    const row = document.createElement("li");
    row.style.setProperty("--share", `${100 * probabilities[label]}%`);
    for (const text of [facts.classes[label], percent(probabilities[label])]) {
      row.append(Object.assign(document.createElement("span"), { textContent: text }));
    }
    return row;
  }));
  const read = digits ? `It read ${digits.map((digit, place) => `${digit} in ${PAD_NAMES[channels][place]}`).join(", ")}. ` : "";
  element("took").textContent = `${read}${took.toFixed(0)} ms on this device.`;
}

function percent(share) {
  return share > 0.9995 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`;
}

function show(pixels) {
  const rgba = new Uint8ClampedArray(4 * side * side).fill(255);
  for (let place = 0; place < side * side; place++) {
    for (let channel = 0; channel < 3; channel++) {
      rgba[4 * place + channel] = pixels[channels * place + Math.min(channel, channels - 1)];
    }
  }
  const canvas = element("seen");
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(new ImageData(rgba, side, side), 0, 0);
}

// Pictures

/** RGBA of anything that can be drawn, at its own size, on white. */
function pixelsOf(source, width, height, canvas = document.createElement("canvas")) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    refuse(`${file.name || "What was pasted"} is no picture that this browser can read. Try a PNG or JPEG file.`);
    return;
  }
  const { width, height } = bitmap;
  const rgba = pixelsOf(bitmap, width, height, element("picture"));
  bitmap.close();
  element("picture").hidden = false;
  element("invitation").hidden = true;
  element("drop").classList.add("filled");
  element("drop").setAttribute("aria-label", "Choose another picture");
  answer(inChannels(fitted(rgba, width, height, side, facts.tallFirst)));
}

function refuse(message) {
  element("answer").classList.add("none");
  element("answer").textContent = message;
  element("classes").replaceChildren();
  element("took").textContent = "";
}

function takePictures() {
  const drop = element("drop");
  drop.addEventListener("click", () => element("file").click());
  element("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) read(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) { choose("file"); read(file); }
  });
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) { choose("file"); read(file); }
  });
}

// Camera

let stream = null;

async function startCamera() {
  const says = element("camera-says");
  says.textContent = "Waiting for the camera …";
  says.hidden = false;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    says.textContent = "The camera cannot be used here: none is connected, or this page may not use it.";
    return;
  }
  if (element("panel-camera").hidden) { stopCamera(); return; }
  const video = element("video");
  video.srcObject = stream;
  video.classList.add("on");
  says.hidden = true;
  await video.play();
  watch(video, stream);
}

function watch(video, mine) {
  if (stream !== mine) return;
  const { videoWidth: width, videoHeight: height } = video;
  if (width) answer(inChannels(fitted(pixelsOf(video, width, height), width, height, side, facts.tallFirst)));
  setTimeout(watch, PAUSE, video, mine);
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  element("video").classList.remove("on");
}

// Drawing

/** A square for each channel, white strokes on black; the net sees all of them as one picture. */
function makePads() {
  const pads = PAD_NAMES[channels].map((name, place) => {
    const label = Object.assign(document.createElement("label"), { textContent: name });
    const canvas = Object.assign(document.createElement("canvas"), { width: PAD, height: PAD, tabIndex: 0 });
    canvas.setAttribute("aria-label", `Draw a digit, ${name}`);
    label.style.setProperty("--pad", PAD_COLOURS[channels][place]);
    label.prepend(canvas);
    element("pads").append(label);
    return canvas;
  });
  pads.forEach((canvas) => draws(canvas, () => answer(drawn(pads))));
  element("clear").addEventListener("click", () => {
    pads.forEach((canvas) => canvas.getContext("2d").clearRect(0, 0, PAD, PAD));
    refuse("No picture yet");
    show(drawn(pads));
  });
}

function draws(canvas, changed) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let pen = [PAD / 2, PAD / 4];
  const line = (to) => {
    Object.assign(context, { lineWidth: PAD / 12, lineCap: "round", lineJoin: "round", strokeStyle: "#ffffff" });
    context.beginPath();
    context.moveTo(...pen);
    context.lineTo(...to);
    context.stroke();
    pen = to;
    changed();
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * PAD / box.width, (event.clientY - box.top) * PAD / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pen = at(event);
    line(pen);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) line(at(event)); });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const to = pen.map((place, axis) => Math.min(Math.max(place + move[axis] * PAD / 14, PAD / 8), PAD * 7 / 8));
    if (event.shiftKey) line(to);
    else pen = to;
  });
}

/** Pixels (side, side, channels) of drawings, each as MNIST has it: 20 of 28 pixels large, its centre of mass in the middle. */
function drawn(pads) {
  const pixels = new Uint8Array(side * side * channels);
  pads.forEach((canvas, channel) => {
    const ink = canvas.getContext("2d").getImageData(0, 0, PAD, PAD).data.filter((_, place) => place % 4 === 3);
    centred(ink).forEach((grey, place) => { pixels[place * channels + channel] = grey; });
  });
  return pixels;
}

function centred(ink) {
  const box = { left: PAD, right: -1, top: PAD, bottom: -1 };
  let [mass, across, down] = [0, 0, 0];
  ink.forEach((value, place) => {
    if (!value) return;
    const [x, y] = [place % PAD, Math.floor(place / PAD)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
    mass += value;
    across += value * x;
    down += value * y;
  });
  if (!mass) return new Uint8Array(side * side);
  // A square around the centre of mass, as much larger than the digit as 28 is than 20.
  const whole = Math.ceil(Math.max(box.right - box.left, box.bottom - box.top, PAD / 8) * 28 / 20);
  const [left, top] = [Math.round(across / mass - whole / 2), Math.round(down / mass - whole / 2)];
  const square = new Uint8ClampedArray(4 * whole * whole);
  for (let y = Math.max(top, 0); y < Math.min(top + whole, PAD); y++) {
    for (let x = Math.max(left, 0); x < Math.min(left + whole, PAD); x++) {
      square[4 * ((y - top) * whole + x - left)] = ink[y * PAD + x];
    }
  }
  return fitted(square, whole, whole, side, facts.tallFirst).filter((_, place) => place % 3 === 0);
}

// The page

const TABS = ["file", "camera", "draw"];

function choose(chosen) {
  for (const name of TABS) {
    const tab = element(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    element(`panel-${name}`).hidden = name !== chosen;
  }
  stopCamera();
  if (chosen === "camera") startCamera();
}

async function start() {
  element("lead").textContent = facts.lead;
  element("about").textContent = facts.about;
  element("known").textContent = `The ${facts.classes.length} classes it knows`;
  element("names").textContent = facts.classes.join(", ");
  element("seen-says").textContent = `What the net sees: ${side} × ${side} pixels`;
  element("answer").classList.add("none");
  element("tab-draw").hidden = !facts.digits;
  element("tab-camera").hidden = facts.digits || !navigator.mediaDevices;
  TABS.forEach((name) => element(`tab-${name}`).addEventListener("click", () => choose(name)));
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const shown = TABS.filter((name) => !element(`tab-${name}`).hidden);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const now = shown.findIndex((name) => element(`tab-${name}`).getAttribute("aria-selected") === "true");
    const next = shown[(now + step + shown.length) % shown.length];
    choose(next);
    element(`tab-${next}`).focus();
  });
  try {
    net = readIntegerNet(await unpacked(element("net").textContent));
  } catch {
    refuse("This browser cannot unpack the net; browsers since 2023 can.");
    return;
  }
  takePictures();
  if (facts.digits) makePads();
  choose(facts.digits ? "draw" : "file");
}

start();
