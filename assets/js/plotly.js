// Plotly, loaded once and only when a figure is drawn.

import { el } from "./dom.js";

/** @type {Promise<PlotlyLibrary> | null} */
let library = null;

/** @param {string} url */
export function loadPlotly(url) {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", { src: url });
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return library;
}
