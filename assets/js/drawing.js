// Drawings of the page as files.

import { contextOf } from "./canvas.js";
import { button, el, setAttributes } from "./dom.js";
import { download } from "./download.js";

const PAINTED = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
];
const ENLARGED = 3; // pixels of a PNG for each unit of the drawing

/**
 * The drawing with its styles in itself, on white and in the colours of the light page, as paper wants it.
 * @param {SVGSVGElement} svg
 */
function onPaper(svg) {
  const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
  const { x, y, width, height } = svg.viewBox.baseVal;
  const dark = document.body.classList.contains("dark");
  document.body.classList.remove("dark"); // and back before anything is painted
  const originals = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of PAINTED) node.setAttribute(name, style.getPropertyValue(name));
  });
  document.body.classList.toggle("dark", dark);
  copy.prepend(el("rect", { x, y, width, height, fill: "#ffffff" }));
  setAttributes(copy, { xmlns: "http://www.w3.org/2000/svg", width, height });
  return new Blob([copy.outerHTML], { type: "image/svg+xml" });
}

/**
 * @param {SVGSVGElement} svg
 * @param {string} name
 * @param {string} format
 */
async function saveDrawing(svg, name, format) {
  const drawn = onPaper(svg);
  if (format === "svg") return download(drawn, `${name}.svg`);
  const image = new Image();
  const url = URL.createObjectURL(drawn);
  image.src = url;
  await image.decode();
  URL.revokeObjectURL(url);
  const canvas = el("canvas", { width: ENLARGED * image.width, height: ENLARGED * image.height });
  contextOf(canvas).drawImage(image, 0, 0, canvas.width, canvas.height);
  savePicture(canvas, `${name}.png`);
}

/**
 * What a canvas shows, as a PNG.
 * @param {HTMLCanvasElement} canvas
 * @param {string} name
 */
export const savePicture = (canvas, name) => canvas.toBlob((blob) => blob && download(blob, name));

/**
 * The two buttons that save a drawing.
 * @param {SVGSVGElement} svg
 * @param {() => string} name
 */
export const savers = (svg, name) =>
  ["png", "svg"].map((format) =>
    button(format.toUpperCase(), "save the drawing", () => saveDrawing(svg, name(), format), `${svg.id}-${format}`),
  );
