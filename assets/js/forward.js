// The forward process, drawn here: x_t = a x_0 + b eps for any t, from x_0 and one fixed eps that were sent once.

import { histogram } from "./histogram.js";
import { putInLink } from "./link.js";
import { Noising } from "./noising.js";
import { Player } from "./player.js";
import { assign, el, fixed, setT, shown, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

const STRIP = 9;

export function mount(element, { props, watch }) {
  const formula = el("div", { class: "lab-formula" });
  tex(formula, "\\xt = \\sqrt{\\ab_t}\\,\\xo + \\sqrt{1-\\ab_t}\\,\\ep \\;=\\; \\num{a}\\,\\xo + \\num{b}\\,\\ep");
  const canvas = (name, label) =>
    el("canvas", { class: name, role: "img", "aria-label": label, width: 256, height: 256 });
  const views = {
    xt: canvas("lab-xt", "the noised picture x_t"),
    x0: canvas("lab-x0", "the picture's part, square root of alpha-bar times x_0"),
    eps: canvas("lab-eps", "the noise's part, square root of one minus alpha-bar times epsilon"),
  };
  const figure = (view, kind, source) => {
    const caption = tex(el("figcaption", {}), source);
    return el("figure", { class: `lab-figure lab-figure-${kind}` }, view, caption);
  };
  const seed = el("span", {}),
    noiseFigure = figure(views.eps, "eps", "\\sqrt{1-\\ab_t}\\,\\ep");
  noiseFigure.lastChild.append(seed);
  const pictured = el("div", { class: "lab-pictured" }, views.xt);
  const chart = histogram("histogram of the pixels of x_t against N(0, 1)");
  const strip = el("div", { class: "lab-strip", role: "group", "aria-label": "film strip" });
  const thumbs = Array.from({ length: STRIP }, () => {
    const view = el("canvas", { width: 64, height: 64 });
    const label = el("span", {});
    const button = el("button", { type: "button", onclick: () => player.user(thumb.t) }, view, label);
    const thumb = { button, view, label, t: 0 };
    strip.append(button);
    return thumb;
  });
  const transport = el("div", {});
  const hint = el(
    "p",
    { class: "lab-note lab-hint" },
    "Drag t, or press space. Near 0 dB, where the two parts are equally strong, the eye loses the picture; the histogram turns into the bell curve of pure noise. Click a pixel for its posterior.",
  );
  const root = el(
    "section",
    { class: "lab-forward", "data-state": "loading" },
    formula,
    el(
      "div",
      { class: "lab-row" },
      figure(pictured, "xt", "\\xt"),
      el("span", { class: "lab-sign" }, "="),
      figure(views.x0, "x0", "\\sqrt{\\ab_t}\\,\\xo"),
      el("span", { class: "lab-sign" }, "+"),
      noiseFigure,
      el(
        "figure",
        { class: "lab-figure lab-histogram" },
        chart.svg,
        tex(el("figcaption", {}), "\\text{values of }\\xt\\text{ against }\\mathcal N(0,1)"),
      ),
    ),
    transport,
    strip,
    hint,
  );
  element.replaceChildren(root);
  const open = shown(root, redraw);

  let noising = null;
  let generation = 0;

  const player = new Player(transport, {
    label: "step t",
    moved: setT, // t belongs to the page: the player moves the store, and the store draws
    say: (t) => {
      const { T, columns } = store.schedule;
      const db = columns.snr_db[t];
      const words = Number.isFinite(db) ? `${db < 0 ? "minus " : ""}${Math.abs(db).toFixed(0)} decibel` : "infinite";
      return { short: `t = ${t}`, spoken: `t ${t} of ${T}, SNR ${words}` };
    },
  });

  assign({ stage: { views, pictured, player } });

  function draw() {
    if (!noising || !store.schedule || !open()) return; // in a closed tab there is nothing to see
    const { signal, noise } = store.schedule.columns;
    const a = signal[store.t],
      b = noise[store.t];
    noising.paint(views.xt, a, b);
    noising.paint(views.x0, a, 0);
    noising.paint(views.eps, 0, b);
    chart.draw(noising.density(a, b));
    fill(formula, { a: fixed(a, 3), b: fixed(b, 3) });
    root.dataset.t = store.t;
    root.dataset.state = "ready";
    const nearest = Math.round((store.t / store.schedule.T) * (STRIP - 1));
    thumbs.forEach(({ button }, k) => button.classList.toggle("is-here", k === nearest));
  }

  function drawStrip() {
    if (!noising || !store.schedule || !open()) return;
    const { T, columns } = store.schedule;
    const stride = Math.max(1, Math.floor(Math.max(noising.width, noising.height) / 85));
    thumbs.forEach((thumb, k) => {
      thumb.t = Math.round((k / (STRIP - 1)) * T);
      noising.paint(thumb.view, columns.signal[thumb.t], columns.noise[thumb.t], stride);
      thumb.label.textContent = `${thumb.t}`;
      thumb.button.setAttribute("aria-label", `go to t ${thumb.t}`);
    });
  }

  function redraw() {
    drawStrip();
    draw();
  }

  subscribe((changes) => {
    if (!changes.has("schedule") && !changes.has("t")) return;
    if (changes.has("schedule")) {
      player.setCount(store.schedule.T + 1);
      drawStrip();
    }
    if (player.index !== store.t || changes.has("schedule")) player.go(store.t);
    draw();
  });

  async function sync() {
    const value = props.value;
    if (!value) return;
    const mine = ++generation;
    const answer = await fetch(value.file.url);
    if (!answer.ok) return;
    const buffer = await answer.arrayBuffer();
    if (mine !== generation) return; // a newer picture overtook this one
    noising = new Noising(value.width, value.height, value.channels, buffer);
    assign({ picture: { noising, value } });
    root.classList.toggle("is-pixel-art", Math.max(value.width, value.height) <= 64);
    root.dataset.picture = value.key;
    seed.textContent = `, seed ${value.seed}`;
    putInLink({ picture: value.picture, noise: value.seed }); // a picture of one's own stays with its owner
    if (store.schedule) {
      player.setCount(store.schedule.T + 1);
      player.go(store.t);
    }
    redraw();
  }
  watch("value", sync);
  sync();
}
