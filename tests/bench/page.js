// Milliseconds of a step in the page's module, in V8 without a browser, and the digest of each seed's last state.
//   node tests/bench/page.js MODEL.mote [--steps 20] [--seeds 4] [--wasm FILE.wasm]
"use strict";
const fs = require("fs");
const path = require("path");

const words = process.argv.slice(2);
const option = (name, usual) => (words.includes(name) ? words[words.indexOf(name) + 1] : usual);
const file = fs.readFileSync(words[0]);
const module_ = option("--wasm", path.join(__dirname, "../../tools/assets/browser/mote.wasm"));
const [steps, seeds] = [Number(option("--steps", 20)), Number(option("--seeds", 4))];
const FINISHED = 1;

WebAssembly.instantiate(fs.readFileSync(module_), {}).then(({ instance }) => {
  const wasm = instance.exports;
  let heap = (wasm.__heap_base.value + 15) & ~15;
  const zeros = (bytes) => {
    const at = heap;
    heap = (at + bytes + 15) & ~15;
    const missing = heap - wasm.memory.buffer.byteLength;
    if (missing > 0) wasm.memory.grow(Math.ceil(missing / 65536));
    new Uint8Array(wasm.memory.buffer, at, bytes).fill(0);
    return at;
  };
  const check = (status) => {
    if (status !== 0) throw new Error(`status ${status} of mote.h`);
  };
  const at = zeros(file.length);
  new Uint8Array(wasm.memory.buffer, at).set(file);
  const [model, config, size, step] = [256, 64, 16, 32].map(zeros);
  check(wasm.mote_open(model, at, file.length));
  check(wasm.mote_config_init(config, model, steps));
  check(wasm.mote_arena_bytes(model, config, size));
  const view = () => new DataView(wasm.memory.buffer);
  const bytes = view().getUint32(size, true);
  const [arena, run] = [zeros(bytes), zeros(256)];
  const times = [], digests = [];
  for (let seed = 0; seed < seeds; seed++) {
    view().setBigUint64(config, BigInt(seed), true);
    check(wasm.mote_start(run, model, arena, bytes, config));
    for (;;) {
      const began = process.hrtime.bigint();
      const status = wasm.mote_step(run, step);
      if (status === FINISHED) break;
      check(status);
      times.push(Number(process.hrtime.bigint() - began) / 1e6);
    }
    digests.push(view().getBigUint64(step, true).toString(16).padStart(16, "0"));
  }
  times.sort((a, b) => a - b);
  console.log(`${fs.statSync(module_).size} bytes; ms a step: least ${times[0].toFixed(3)}, median ${times[times.length >> 1].toFixed(3)}`);
  digests.forEach((digest, seed) => console.log(`seed ${seed}  digest ${digest}`));
});
