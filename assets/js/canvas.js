// Canvases that are painted over and over.

/** @typedef {{context: CanvasRenderingContext2D, image: ImageData}} Painted */

/** @type {WeakMap<HTMLCanvasElement, Painted>} */
const prepared = new WeakMap();

/**
 * What is drawn into a canvas with.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function contextOf(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("this browser draws no pictures");
  return context;
}

/**
 * A canvas of that size, with the pixels that are written into it.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {Painted}
 */
export function prepare(canvas, width, height) {
  const before = prepared.get(canvas);
  if (before?.image.width === width && before.image.height === height) return before;
  canvas.width = width;
  canvas.height = height;
  const context = contextOf(canvas, { alpha: false });
  const painted = { context, image: context.createImageData(width, height) };
  painted.image.data.fill(255);
  prepared.set(canvas, painted);
  return painted;
}
