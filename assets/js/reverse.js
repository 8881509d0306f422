// The reverse process: previews while it runs, then every frame under the player.

import { el, fixed, setT, store, subscribe } from "./store.js";
import { Player } from "./player.js";
import { fill, tex } from "./tex.js";

const CACHE = 64, AHEAD = 12; // a quick drag skips about ten frames at a time

/** Frames of one file: a table of offsets, then one image each; decoded when asked for, kept while fresh. */
class Frames {
  constructor(buffer) {
    const table = new DataView(buffer);
    this.buffer = buffer;
    this.count = table.getUint32(0, true);
    this.offset = (i) => table.getUint32(4 + 4 * i, true);
    this.cache = new Map();
  }

  get(i) {
    let frame = this.cache.get(i);
    if (frame) this.cache.delete(i);
    else {
      const bytes = new Uint8Array(this.buffer, this.offset(i), this.offset(i + 1) - this.offset(i));
      frame = createImageBitmap(new Blob([bytes], { type: "image/webp" }));
    }
    this.cache.set(i, frame);
    if (this.cache.size > CACHE) {
      const [oldest, bitmap] = this.cache.entries().next().value;
      this.cache.delete(oldest);
      bitmap.then((b) => b.close());
    }
    return frame;
  }

  close() {
    for (const bitmap of this.cache.values()) bitmap.then((b) => b.close());
    this.cache.clear();
  }
}

export function mount(element, { props, watch }) {
  const canvas = (name, label) => el("canvas", { class: `lab-pixels ${name}`, role: "img", "aria-label": label, width: 128, height: 128 });
  const xt = canvas("lab-traj-xt", "the samples x_t"), x0 = canvas("lab-traj-x0", "the predicted clean images");
  const figure = (view, kind, source, words) =>
    el("figure", { class: `lab-figure lab-figure-${kind}` }, view,
      el("figcaption", {}, tex(el("span", {}), source), ` ${words}`));
  const progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "sampling" });
  const status = el("p", { class: "lab-status", role: "status" }, "Drawing the first samples …");
  const transport = el("div", {});
  const formula = tex(el("div", { class: "lab-formula" }),
    "\\htmlClass{ink-xt}{x_s} = \\num{a}\\,\\xt + \\num{b}\\,\\xpred + \\num{c}\\,\\epred + \\num{z}\\,z");
  const root = el(
    "section", { class: "lab-reverse", "data-state": "empty" },
    formula,
    el("div", { class: "lab-statusline" }, status, progress),
    el("div", { class: "lab-row lab-row-two" },
      figure(xt, "xt", "\\xt", "the samples"),
      figure(x0, "pred", "\\xpred", "the network's guess of where they end")),
    transport,
    el("div", { class: "lab-notes" }),
  );
  element.replaceChildren(root);
  const notes = root.querySelector(".lab-notes");

  let frames = null;
  let value = null;
  let generation = 0;

  /** One image holds x_t on the left and the predicted x_0 on the right. */
  function put(bitmap) {
    const w = bitmap.width / 2, h = bitmap.height;
    for (const [view, left] of [[xt, 0], [x0, w]]) {
      if (view.width !== w || view.height !== h) {
        view.width = w;
        view.height = h;
      }
      view.getContext("2d").drawImage(bitmap, left, 0, w, h, 0, 0, w, h);
    }
  }

  let wanted = 0;
  async function show(i) {
    if (!frames) return;
    const mine = generation, from = wanted;
    wanted = i;
    const bitmap = await frames.get(i);
    if (mine !== generation || wanted !== i) return;
    put(bitmap);
    const [a, b, c, z] = value.frames[i].coefficients.map((v) => fixed(v, 3));
    fill(formula, { a, b, c, z });
    root.dataset.frame = i;
    const ahead = i >= from ? 1 : -1;
    for (let k = 1; k <= AHEAD; k++) {
      const j = i + ahead * k;
      if (j >= 0 && j < frames.count) frames.get(j);
    }
  }

  const linked = () => value?.T && store.schedule && value.T === store.schedule.T;
  const player = new Player(transport, {
    label: "step of the reverse process",
    show,
    // Moving through the frames moves the page's t where both count the same steps, and the other way round.
    moved: (i) => linked() && setT(value.frames[i].t),
    say: (i) => {
      const { t, s, step } = value.frames[i];
      return {
        short: s == null ? `t = ${t}` : `t = ${t} → ${s}`,
        spoken: `t ${t}, ${step} of ${value.count} steps taken`,
      };
    },
  });
  let open = false;
  new IntersectionObserver((entries) => (open = entries.at(-1).isIntersecting)).observe(root);
  subscribe((changes) => {
    if (!changes.has("t") || open || !frames || !linked() || changes.has("schedule")) return;
    const nearest = value.frames.reduce((best, f, i, all) =>
      Math.abs(f.t - store.t) < Math.abs(all[best].t - store.t) ? i : best, 0);
    player.go(nearest);
  });

  async function sync() {
    const next = props.value;
    if (!next) return;
    const mine = ++generation;
    // Spoken at the end of a run, not ten times a second.
    status.setAttribute("aria-live", next.state === "live" ? "off" : "polite");
    status.textContent = next.status;
    progress.hidden = next.state !== "live";
    if (next.state === "live") {
      player.pause();
      progress.value = next.step / next.count;
      const bitmap = await createImageBitmap(await (await fetch(next.preview)).blob());
      if (mine !== generation) return;
      put(bitmap);
      bitmap.close();
      root.dataset.state = "live";
      root.dataset.previews = +(root.dataset.previews ?? 0) + 1;
    } else if (next.state === "done") {
      const buffer = await (await fetch(next.file.url)).arrayBuffer();
      if (mine !== generation) return;
      frames?.close();
      frames = new Frames(buffer);
      value = next;
      notes.textContent = next.note;
      player.setCount(frames.count);
      player.go(frames.count - 1);
      await show(frames.count - 1);
      root.dataset.state = next.stopped ? "stopped" : "ready";
      root.dataset.run = next.key;
    } else root.dataset.state = next.state;
  }
  watch("value", sync);
  sync();
}

