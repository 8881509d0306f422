// What the forward tab has to open below its pictures: the chain, the posterior of a pixel, and files to take away.

import { chain } from "./chain.js";
import { button, el } from "./dom.js";
import { download } from "./download.js";
import { savePicture } from "./drawing.js";
import { fromLink, putInLink } from "./link.js";
import { posterior } from "./posterior.js";
import { store, subscribe } from "./store.js";

/** @import { ChainServer } from "./chain.js" */
/** @import { Settings } from "./schedules.js" */

/** @typedef {{file: string, width: number, height: number, channels: number, settings: Settings, format: string}} Asked */
/** @typedef {ChainServer & {export_noising: (asked: Asked) => Promise<{path: string, name: string}>}} PanelServer */

const nameOf = (/** @type {HTMLElement} */ panel) => panel.id.replace("lab-", "");

/**
 * @param {HTMLElement} element
 * @param {LabView<object, PanelServer>} view
 */
export function mount(element, { server }) {
  let built = false;
  function build() {
    if (built || !store.stage) return;
    built = true;
    const { views, pictured, player } = store.stage;
    const panels = [chain(server, player), posterior(Object.values(views), pictured), saving(server, views.xt)];
    const opened = fromLink("open");
    for (const panel of panels) {
      panel.open = opened.includes(nameOf(panel));
      panel.addEventListener("toggle", () => {
        putInLink({ open: panels.filter((p) => p.open).map(nameOf) });
      });
    }
    element.replaceChildren(...panels);
  }
  subscribe(build); // the pictures above come when they come
  build();
}

/**
 * All of the noising as an animation; says in `status` how it goes.
 * @param {PanelServer} server
 * @param {string} format
 * @param {HTMLElement} status
 */
async function saveAnimation(server, format, status) {
  if (!store.picture || !store.schedule) return;
  const { file, width, height, channels } = store.picture.value;
  status.textContent = "Encoding …";
  try {
    const { settings } = store.schedule;
    const { path, name } = await server.export_noising({ file: file.path, width, height, channels, settings, format });
    const answer = await fetch(new URL(`gradio_api/file=${path}`, document.baseURI));
    if (!answer.ok) throw new Error(answer.statusText);
    const blob = await answer.blob();
    download(blob, name);
    status.textContent = `${name}, ${(blob.size / 1e6).toFixed(1)} MB`;
  } catch {
    status.textContent = "The animation could not be made; try again.";
  }
}

/**
 * The picture as it is shown, and all of its noising as an animation.
 * @param {PanelServer} server
 * @param {HTMLCanvasElement} view
 */
function saving(server, view) {
  const status = el("p", { class: "lab-note", role: "status" });
  /** @type {(format: string, text: string, title: string) => HTMLElement} */
  const animation = (format, text, title) =>
    button(text, title, () => saveAnimation(server, format, status), `noising-${format}`);
  return el(
    "details",
    { class: "lab-details", id: "lab-saving" },
    el("summary", {}, "Download"),
    el(
      "p",
      { class: "lab-note" },
      "The whole noising, from t = 0 to T, lasts five seconds. GIF plays anywhere, with 256 colours a frame; WebP keeps every pixel; MP4 is the smallest, for slides.",
    ),
    el(
      "div",
      { class: "lab-bar" },
      el("span", { class: "lab-choice-label" }, "picture"),
      button("PNG", "x_t as it is shown", () => savePicture(view, `x_t${store.t}.png`), "noised-png"),
      el("span", { class: "lab-choice-label" }, "noising"),
      animation("gif", "GIF", "animation with 256 colours a frame"),
      animation("webp", "WebP", "animation with every pixel as it is"),
      animation("mp4", "MP4", "film"),
      status,
    ),
  );
}
