// Drawings of the page as files.

import { button, download } from "./store.js";

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

/** The drawing with its styles in itself, on white and in the colours of the light page, as paper wants it. */
function onPaper(svg) {
  const copy = svg.cloneNode(true),
    { x, y, width, height } = svg.viewBox.baseVal;
  const dark = document.body.classList.contains("dark");
  document.body.classList.remove("dark"); // and back before anything is painted
  const originals = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of PAINTED) node.setAttribute(name, style.getPropertyValue(name));
  });
  document.body.classList.toggle("dark", dark);
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ x, y, width, height, fill: "#ffffff" })) paper.setAttribute(name, value);
  copy.prepend(paper);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  return new Blob([copy.outerHTML], { type: "image/svg+xml" });
}

async function saveDrawing(svg, name, format) {
  const drawn = onPaper(svg);
  if (format === "svg") return download(drawn, `${name}.svg`);
  const image = new Image(),
    url = URL.createObjectURL(drawn);
  image.src = url;
  await image.decode();
  URL.revokeObjectURL(url);
  const canvas = document.createElement("canvas");
  canvas.width = ENLARGED * image.width;
  canvas.height = ENLARGED * image.height;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => download(blob, `${name}.png`));
}

/** The two buttons that save a drawing. */
export const savers = (svg, name) =>
  ["png", "svg"].map((format) =>
    button(format.toUpperCase(), "save the drawing", () => saveDrawing(svg, name(), format), `${svg.id}-${format}`),
  );
