// Runs the device's code, compiled to WebAssembly, beside the page. The functions are those of runtime/c/include/mote.h.
"use strict";
let wasm, heap, model, file, stop = false;

const OK = 0, FINISHED = 1, UNKNOWN = -2147483648;

// Memory behind what the module has of its own, in multiples of 16.
function take(bytes) {
  const at = heap;
  heap = (at + bytes + 15) & ~15;
  const missing = heap - wasm.memory.buffer.byteLength;
  if (missing > 0) wasm.memory.grow(Math.ceil(missing / 65536));
  return at;
}
const view = () => new DataView(wasm.memory.buffer);
const zeros = (bytes) => {
  const at = take(bytes);
  new Uint8Array(wasm.memory.buffer, at, bytes).fill(0);
  return at;
};
function name(status) {
  const bytes = new Uint8Array(wasm.memory.buffer, wasm.mote_status_name(status));
  return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
}
function check(status) {
  if (status !== OK) throw new Error(name(status));
}

async function open(message) {
  const { instance } = await WebAssembly.instantiate(message.wasm, {});
  wasm = instance.exports;
  heap = (wasm.__heap_base.value + 15) & ~15;
  file = take(message.model.byteLength);
  new Uint8Array(wasm.memory.buffer, file).set(new Uint8Array(message.model));
  model = zeros(256);
  check(wasm.mote_open(model, file, message.model.byteLength));
  const info = zeros(64);
  check(wasm.mote_model_facts(model, info));
  const fact = (i) => view().getInt32(info + 4 * i, true);
  postMessage({
    kind: "open", rows: fact(0), cols: fact(1), channels: fact(2), elements: fact(3), classes: fact(4), nullClass: fact(5),
    trainSteps: fact(7), plannedSteps: fact(8),
  });
}

// Fields of mote_config, by their places.
const FIELDS = { steps: 8, sampler: 12, class_label: 36, guided: 40, guidance_q16: 44 };

async function draw(asked) {
  stop = false;
  const free = heap;
  const config = zeros(64), size = zeros(16), run = zeros(256), step = zeros(32);
  check(wasm.mote_config_init(config, model, asked.steps));
  view().setBigUint64(config, BigInt(asked.seed), true);
  for (const [field, at] of Object.entries(FIELDS)) {
    if (asked[field] !== undefined) view().setInt32(config + at, asked[field], true);
  }
  check(wasm.mote_arena_bytes(model, config, size));
  const bytes = view().getUint32(size, true);
  const arena = take(bytes);
  let known = 0;
  if (asked.kept) {
    const from = take(asked.elements);
    known = take(4 * asked.elements);
    new Uint8Array(wasm.memory.buffer, from).set(asked.kept);
    check(wasm.mote_pixels_to_q24(from, known, asked.elements));
    const elements = new Int32Array(wasm.memory.buffer, known, asked.elements);
    asked.brushed.forEach((is, i) => is && elements.fill(UNKNOWN, i * asked.channels, (i + 1) * asked.channels));
  }
  let vector = 0;
  if (asked.condition) {
    vector = take(4 * asked.condition.length);
    new Int32Array(wasm.memory.buffer, vector, asked.condition.length).set(asked.condition);
  }
  const pixels = take(asked.elements);
  try {
    check(wasm.mote_start(run, model, arena, bytes, config));
    if (known) check(wasm.mote_inpaint(run, known, asked.elements));
    if (vector) check(wasm.mote_condition(run, vector, asked.condition.length));
    for (let done = 0; !stop; done++) {
      const began = performance.now();
      const status = wasm.mote_step(run, step);
      const ms = performance.now() - began;
      check(wasm.mote_image(run, pixels, asked.elements));
      check(wasm.mote_state(run, size, size + 4));
      const state = new Int32Array(wasm.memory.buffer, view().getUint32(size, true), asked.elements).slice();
      const digest = view().getBigUint64(step, true).toString(16).padStart(16, "0");
      const image = new Uint8Array(wasm.memory.buffer, pixels, asked.elements).slice();
      postMessage({ kind: status === OK ? "step" : "done", id: asked.id, done, ms, digest, image, state, timestep: view().getUint32(step + 12, true) });
      if (status === FINISHED) break;
      check(status);
      // A message to stop is heard between steps.
      await new Promise((resume) => setTimeout(resume));
    }
  } finally {
    heap = free;
  }
}

onmessage = ({ data }) => {
  const failed = (error) => postMessage({ kind: "failed", id: data.id, what: String(error.message || error) });
  if (data.kind === "open") open(data).catch(failed);
  else if (data.kind === "draw") draw(data).catch(failed);
  else stop = true;
};
