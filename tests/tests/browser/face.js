// The least contrast of a text with what is behind it (WCAG 2.2, 1.4.3), and where; large texts count one and a half times.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
}
function luminance(color) {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = [...rgba(color)].map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (rgba(color)[3] === 255) return color;
  }
  return "white";
}
let least = { contrast: 21, text: "" };
for (const element of document.querySelectorAll("body *:not(script):not(style):not(svg *)")) {
  const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent.trim()).join("");
  if (!text || element.disabled || element.getClientRects().length === 0) continue;
  const style = getComputedStyle(element);
  const [a, b] = [luminance(style.color), luminance(behind(element))];
  let contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (parseFloat(style.fontSize) >= 24) contrast *= 1.5;
  if (contrast < least.contrast) least = { contrast, text: text.slice(0, 60) };
}
return { ...least, page: luminance(behind(document.body)) };
