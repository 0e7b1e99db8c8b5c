// Draws all runs of all models in workers made of the page's own text and module, as the page does. The digests go into data-mote-matrix.
const [models] = arguments;
const part = (name) => document.getElementById(name).textContent.trim();
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
async function digests({ model, runs }) {
  const worker = new Worker(URL.createObjectURL(new Blob([part("live-worker")])));
  // The digest of the last step before an answer of the kind that ends the message.
  const ask = (message, end) =>
    new Promise((resolve, reject) => {
      let digest = null;
      worker.onerror = (event) => reject(new Error(event.message));
      worker.onmessage = ({ data }) => {
        if (data.kind === "failed") reject(new Error(data.what));
        else if (data.kind === end) resolve({ ...data, last: digest });
        else digest = data.digest;
      };
      worker.postMessage(message);
    });
  const { elements, channels } = await ask({ kind: "open", wasm: bytes(part("live-wasm")), model: bytes(model) }, "open");
  const all = [];
  for (const run of runs) all.push((await ask({ kind: "draw", id: 1, elements, channels, ...run }, "done")).last);
  worker.terminate();
  return all;
}
document.documentElement.removeAttribute("data-mote-matrix");
const say = (found) => (document.documentElement.dataset.moteMatrix = JSON.stringify(found));
Promise.all(models.map(digests)).then(say, (error) => say(String(error)));
