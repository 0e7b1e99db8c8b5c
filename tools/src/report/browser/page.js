// The page's own sampler: controls, canvas, digests. The work is done in a worker, which runs the device's code.
"use strict";
(() => {
  const root = document.getElementById("live");
  const facts = JSON.parse(document.getElementById("live-facts").textContent);
  const bytes = (id) => Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0)).buffer;
  const part = (name) => root.querySelector(`[name=${name}], [data-part=${name}]`);
  const say = (text, state) => {
    const line = part("status");
    line.textContent = text;
    line.dataset.state = state || "";
  };
  const worker = new Worker(URL.createObjectURL(new Blob([document.getElementById("live-worker").textContent])));
  let model, id = 0, running = false, spent = 0, image = null;

  // A picture of 1 or 3 channels as it is; a signal of one row as curves, its values from -1 to 1; two channels of a row as a path.
  function show(pixels, state) {
    if (!image) performance.mark("mote-first-image");
    image = pixels;
    const { rows, cols, channels } = model;
    const canvas = part("canvas"), context = canvas.getContext("2d");
    if (rows === 1 && cols > 1) {
      canvas.width = 320;
      canvas.height = 160;
      context.clearRect(0, 0, 320, 160);
      const value = (i, c) => state[i * channels + c] / (1 << 24);
      const path = channels === 2;
      for (let c = 0; c < (path ? 1 : channels); c++) {
        context.strokeStyle = `hsl(${(210 + 97 * c) % 360} 70% 50%)`;
        context.lineWidth = 2;
        context.beginPath();
        for (let i = 0; i < cols; i++) {
          const x = path ? 80 + 80 * (1 + value(i, 0)) : 10 + (300 * i) / (cols - 1);
          context.lineTo(x, 80 - 70 * Math.max(-1.1, Math.min(1.1, value(i, path ? 1 : c))));
        }
        context.stroke();
      }
      return;
    }
    canvas.width = cols;
    canvas.height = rows;
    const data = context.createImageData(cols, rows);
    for (let i = 0; i < rows * cols; i++) {
      for (let c = 0; c < 3; c++) data.data[4 * i + c] = pixels[i * channels + (channels >= 3 ? c : 0)];
      data.data[4 * i + 3] = 255;
    }
    context.putImageData(data, 0, 0);
  }

  function asked() {
    const number = (name, fallback) => (part(name) && part(name).value !== "" ? Number(part(name).value) : fallback);
    const weight = number("guidance", 0);
    const again = brushed && image;
    return {
      kind: "draw", id: ++id, elements: model.elements, seed: part("seed").value || "0", steps: number("steps", 20),
      sampler: part("sampler") && part("sampler").value !== "" ? Number(part("sampler").value) : undefined,
      class_label: part("class") && part("class").value !== "" ? Number(part("class").value) : undefined,
      guided: weight ? 1 : undefined, guidance_q16: weight ? Math.round(weight * 65536) : undefined, condition: facts.condition, channels: model.channels,
      kept: again ? image : undefined, brushed: again ? brushed : undefined,
    };
  }

  // Inpainting: where the brush went is made anew, the rest of the last image is kept.
  let brushed = null, brushAt = null;
  const brushes = () => image && !running && model.rows > 1;
  function brush(event) {
    if (!brushes() || !(event.buttons & 1)) return;
    const box = part("canvas").getBoundingClientRect();
    mark(Math.floor(((event.clientX - box.left) / box.width) * model.cols), Math.floor(((event.clientY - box.top) / box.height) * model.rows));
  }

  // The same by the keyboard: arrows move the brush, the space bar marks.
  function brushByKey(event) {
    if (!brushes()) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [x, y] = brushAt || [model.cols >> 1, model.rows >> 1];
    const within = (value, size) => Math.max(0, Math.min(size - 1, value));
    brushAt = [within(x + move[0], model.cols), within(y + move[1], model.rows)];
    if (event.key === " ") mark(...brushAt);
    else say(`Brush at row ${brushAt[1] + 1}, column ${brushAt[0] + 1}. The space bar marks.`);
  }

  function mark(x, y) {
    brushed = brushed || new Uint8Array(model.rows * model.cols);
    const context = part("canvas").getContext("2d");
    context.fillStyle = "rgb(220 40 120 / 0.7)";
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        const [u, v] = [x + dx, y + dy];
        if (u < 0 || v < 0 || u >= model.cols || v >= model.rows || brushed[v * model.cols + u]) continue;
        brushed[v * model.cols + u] = 1;
        context.fillRect(u, v, 1, 1);
      }
    }
    say("Draw again: what is marked is made anew, the rest is kept.");
  }

  function start() {
    if (running) {
      worker.postMessage({ kind: "stop" });
      return;
    }
    const request = asked();
    if (!/^\d+$/.test(request.seed) || BigInt(request.seed) >= 1n << 64n) return say("A seed is a whole number below 2^64.", "bad");
    request.plain = !request.kept && request.sampler === undefined && request.class_label === undefined && !request.guided;
    root.dataset.plain = request.plain ? "1" : "";
    root.dataset.seed = request.seed;
    root.dataset.steps = request.steps;
    running = true;
    spent = 0;
    brushed = null;
    part("draw").textContent = "Stop";
    document.documentElement.removeAttribute("data-mote-digest");
    say("Drawing ...");
    worker.postMessage(request);
  }

  function finished(text, state) {
    running = false;
    part("draw").textContent = "Draw";
    say(text, state);
  }

  worker.onerror = (event) => finished(`This browser cannot run the sampler: ${event.message}`, "bad");
  worker.onmessage = ({ data }) => {
    if (data.kind === "open") {
      model = data;
      part("steps").max = data.trainSteps;
      if (data.plannedSteps) {
        part("steps").value = data.plannedSteps;
        part("steps").disabled = true;
      }
      part("draw").disabled = false;
      if (model.rows > 1) {
        part("canvas").tabIndex = 0;
        part("canvas").ariaLabel += ". Arrow keys move the brush, the space bar marks.";
      }
      start();
    } else if (data.kind === "failed") {
      finished(`Refused: ${data.what}`, "bad");
    } else if (data.id === id) {
      show(data.image, data.state);
      if (data.kind === "step") {
        spent += data.ms;
        part("progress").value = (data.done + 1) / Number(root.dataset.steps);
        part("digest").textContent = data.digest;
        part("time").textContent = `${(spent / (data.done + 1)).toFixed(1)} ms a step`;
        part("step").textContent = `Step ${data.done + 1} of ${root.dataset.steps}, from timestep ${data.timestep}.`;
        return;
      }
      performance.mark("mote-image");
      document.documentElement.dataset.moteDigest = part("digest").textContent;
      const known = root.dataset.plain && facts.expected.filter((e) => e.seed === root.dataset.seed && String(e.steps) === root.dataset.steps);
      const digest = part("digest").textContent;
      if (!known || known.length === 0) return finished("Done. This page knows no other machine's digest of this run.");
      const other = known.filter((e) => e.digest !== digest);
      if (other.length) return finished(`Another digest than ${other.map((e) => e.by).join(", ")} gave: ${other[0].digest}`, "bad");
      finished(`The same bytes as ${known.map((e) => e.by).join(", ")}.`, "good");
    }
  };
  // Runs that other machines made, a button each.
  const runs = new Map();
  for (const e of facts.expected) runs.set(`seed ${e.seed}, ${e.steps} steps`, { e, by: [...((runs.get(`seed ${e.seed}, ${e.steps} steps`) || {}).by || []), e.by] });
  const boards = [...runs].filter(([, { by }]) => by.some((name) => name.startsWith("board:"))).slice(0, 4);
  if (boards.length) part("known").append("Made by boards as well: ");
  for (const [text, { e }] of boards) {
    const button = document.createElement("button");
    button.textContent = text;
    button.addEventListener("click", () => {
      part("seed").value = e.seed;
      part("steps").value = e.steps;
      if (!running) start();
    });
    part("known").append(button, " ");
  }
  part("draw").addEventListener("click", start);
  part("next").addEventListener("click", () => {
    part("seed").value = String((BigInt(part("seed").value || "0") + 1n) % (1n << 64n));
    if (!running) start();
  });
  for (const kind of ["pointerdown", "pointermove"]) part("canvas").addEventListener(kind, brush);
  part("canvas").addEventListener("keydown", brushByKey);
  part("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.download = `seed-${part("seed").value}.png`;
    link.href = part("canvas").toDataURL("image/png");
    link.click();
  });
  worker.postMessage({ kind: "open", wasm: bytes("live-wasm"), model: bytes("live-model") });
})();
