"use strict";
// The page of a generator: the picture of a seed and a class, and a walk from one seed to another.

const STOPS = 8; // equal steps of the walk, whose pictures are in the strip
const PAUSE = { fast: 30, slow: 400 }; // milliseconds between two pictures of a walk that plays
const LARGEST_SEED = 9999;

const element = (name) => document.getElementById(name);
const facts = JSON.parse(element("facts").textContent);
const [height, width, channels] = facts.image;
const count = facts.latent.reduce((product, length) => product * length, 1);
const fast = facts.sampler.times === undefined; // one call of the net for a picture
let program = null;
let asked = 0; // what was asked for last; anything older stops
let playing = null;
let stops = []; // pixels of the strip's pictures

/** Lets the page answer; whether what was asked for is still wanted. */
function breath(mine) {
  return new Promise((resolve) => setTimeout(() => resolve(mine === asked)));
}

function seedOf(name) {
  return Math.min(Math.max(Math.round(Number(element(name).value) || 0), 0), LARGEST_SEED);
}

function label() {
  return facts.classes.length ? element("class").selectedIndex : 0;
}

/** Pixels of the walk's picture at a weight in 0..1; null where something else was asked for meanwhile. */
async function made(weight, mine, progress) {
  const latent = greatCircle(normals(seedOf("from"), count), normals(seedOf("to"), count), weight);
  return pictureOf(program, facts.sampler, latent, label(), async (fraction) => {
    if (progress) element("progress").style.setProperty("--share", `${100 * fraction}%`);
    return breath(mine);
  });
}

function draw(canvas, pixels) {
  const rgba = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let place = 0; place < height * width; place++) {
    for (let channel = 0; channel < 3; channel++) {
      rgba[4 * place + channel] = pixels[channels * place + Math.min(channel, channels - 1)];
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
}

/** Shows the picture at the slider's place; whether it was still wanted when it was there. */
async function show(mine) {
  const weight = Number(element("walk").value) / Number(element("walk").max);
  const stop = weight * STOPS;
  const began = performance.now();
  const known = Number.isInteger(stop) ? stops[stop] : undefined;
  element("progress").hidden = fast || known !== undefined;
  const pixels = known ?? await made(weight, mine, !fast);
  if (!pixels) return false;
  element("progress").hidden = true;
  if (Number.isInteger(stop)) keep(stop, pixels);
  draw(element("picture"), pixels);
  const said = facts.classes.length ? `${facts.classes[label()]}, ` : "";
  element("picture").setAttribute("aria-label", `${said}seed ${seedOf("from")}, ${Math.round(100 * weight)} % of the walk`);
  if (!known) element("took").textContent = `${(performance.now() - began).toFixed(0)} ms on this device.`;
  return true;
}

function keep(stop, pixels) {
  stops[stop] = pixels;
  const canvas = element("strip").children[stop].firstChild;
  draw(canvas, pixels);
  canvas.classList.add("made");
}

/** Shows the picture, then makes those of the strip that are not there yet. */
async function answer() {
  const mine = ++asked;
  if (!await show(mine)) return;
  for (let stop = 0; stop <= STOPS; stop++) {
    if (stops[stop]) continue;
    const pixels = await made(stop / STOPS, mine, false);
    if (!pixels) return;
    keep(stop, pixels);
  }
}

/** Another class or seed: nothing that was made is of use. */
function afresh() {
  stops = [];
  for (const button of element("strip").children) button.firstChild.classList.remove("made");
  answer();
}

function another(name) {
  element(name).value = Math.floor(Math.random() * (LARGEST_SEED + 1));
  afresh();
}

function play() {
  const slider = element("walk");
  const last = Number(slider.max);
  const step = fast ? 1 : last / STOPS;
  let direction = 1;
  stop();
  element("play").textContent = "Stop";
  const mine = playing = {};
  (async () => {
    while (playing === mine) {
      if (Number(slider.value) + direction * step > last || Number(slider.value) + direction * step < 0) direction = -direction;
      slider.value = Number(slider.value) + direction * step;
      if (!await show(++asked) && playing !== mine) return;
      await new Promise((resolve) => setTimeout(resolve, fast ? PAUSE.fast : PAUSE.slow));
    }
  })();
}

function stop() {
  playing = null;
  element("play").textContent = "Play";
}

async function start() {
  element("lead").textContent = facts.lead;
  element("about").textContent = facts.about;
  element("class-row").hidden = !facts.classes.length;
  element("class").append(...facts.classes.map((name) => Object.assign(document.createElement("option"), { textContent: name })));
  element("from").value = 0;
  element("to").value = 1;
  for (let place = 0; place <= STOPS; place++) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.setAttribute("aria-label", `${Math.round(100 * place / STOPS)} % of the walk`);
    button.append(Object.assign(document.createElement("canvas"), { width, height }));
    button.addEventListener("click", () => {
      stop();
      element("walk").value = place * Number(element("walk").max) / STOPS;
      answer();
    });
    element("strip").append(button);
  }
  try {
    program = readProgram(facts.graph, await unpacked(element("net").textContent));
  } catch {
    element("took").textContent = "This browser cannot unpack the net; browsers since 2023 can.";
    return;
  }
  for (const name of ["class", "from", "to"]) element(name).addEventListener("change", afresh);
  element("another-from").addEventListener("click", () => another("from"));
  element("another-to").addEventListener("click", () => another("to"));
  element("walk").addEventListener(fast ? "input" : "change", () => { stop(); answer(); });
  element("play").addEventListener("click", () => (playing ? (stop(), answer()) : play()));
  answer();
}

start();
