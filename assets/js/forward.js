// The forward process, drawn here: x_t = a x_0 + b eps for any t, from x_0 and one fixed eps that were sent once.

import { putInLink } from "./link.js";
import { BINS, Noising, SPAN } from "./noising.js";
import { Player } from "./player.js";
import { assign, digits, download, el, fixed, setT, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

const STRIP = 9;

function histogram() {
  const W = 240, H = 150, TOP = 0.9; // densities above TOP run out of the picture
  const x = (v) => ((v + SPAN) / (2 * SPAN)) * W;
  const y = (p) => H * (1 - Math.min(p, TOP) / TOP);
  const bars = el("path", { class: "bars" });
  const normal = Array.from({ length: 97 }, (_, i) => {
    const v = -SPAN + (i / 96) * 2 * SPAN;
    return `${x(v).toFixed(1)} ${y(Math.exp(-v * v / 2) / Math.sqrt(2 * Math.PI)).toFixed(1)}`;
  });
  const svg = el(
    "svg",
    { viewBox: `-6 -4 ${W + 12} ${H + 24}`, role: "img", "aria-label": "histogram of the pixels of x_t against N(0, 1)" },
    bars,
    el("path", { class: "normal", d: `M${normal.join("L")}` }),
    el("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
    ...[-4, -2, 0, 2, 4].map((v) => el("text", { x: x(v), y: H + 15 }, String(v).replace("-", "−"))),
  );
  const step = W / BINS;
  return {
    svg,
    draw(bins) {
      let d = `M0 ${H}`;
      for (let i = 0; i < BINS; i++) d += `V${Math.round(y(bins[i]) * 10) / 10}H${(i + 1) * step}`;
      bars.setAttribute("d", `${d}V${H}Z`);
    },
  };
}

export function mount(element, { props, watch }) {
  const formula = el("div", { class: "lab-formula" });
  tex(
    formula,
    "\\xt = \\sqrt{\\ab_t}\\,\\xo + \\sqrt{1-\\ab_t}\\,\\ep \\;=\\; \\num{a}\\,\\xo + \\num{b}\\,\\ep",
  );
  const canvas = (name, label) => el("canvas", { class: name, role: "img", "aria-label": label, width: 256, height: 256 });
  const views = {
    xt: canvas("lab-xt", "the noised picture x_t"),
    x0: canvas("lab-x0", "the picture's part, square root of alpha-bar times x_0"),
    eps: canvas("lab-eps", "the noise's part, square root of one minus alpha-bar times epsilon"),
  };
  const figure = (view, kind, source) => {
    const caption = tex(el("figcaption", {}), source);
    return el("figure", { class: `lab-figure lab-figure-${kind}` }, view, caption);
  };
  const chart = histogram();
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
  const save = el(
    "button",
    { type: "button", class: "lab-save", title: "save x_t as it is shown", onclick: () => saveImage() }, "Save PNG",
  );
  const hint = el("p", { class: "lab-note" },
    "Drag t, or press space. Near 0 dB, where the two parts are equally strong, the eye loses the picture; the histogram turns into the bell curve of pure noise.");
  const one = tex(el("p", {}),
    "q(\\xt\\mid\\xs)=\\mathcal N\\big(\\sqrt{1-\\beta_t}\\,\\xs,\\ \\beta_t\\mathbf I\\big)=\\mathcal N\\big(\\num{keep}\\,\\xs,\\ \\num{beta}\\,\\mathbf I\\big)");
  const back = tex(el("p", {}),
    "q(\\xs\\mid\\xt,\\xo)=\\mathcal N(\\tilde\\mu_t,\\tilde\\beta_t\\mathbf I),\\quad\\tilde\\mu_t=\\frac{\\sqrt{\\alpha_t}\\,(1-\\ab_{t-1})}{1-\\ab_t}\\,\\xt+\\frac{\\sqrt{\\ab_{t-1}}\\,\\beta_t}{1-\\ab_t}\\,\\xo=\\num{ct}\\,\\xt+\\num{c0}\\,\\xo");
  const spread = tex(el("p", {}),
    "\\tilde\\beta_t=\\frac{1-\\ab_{t-1}}{1-\\ab_t}\\,\\beta_t=\\num{bt}");
  const details = el(
    "details", { class: "lab-details" },
    el("summary", {}, "One step, and its posterior, at this t"),
    el("p", { class: "lab-note" }, "What step t adds (Ho et al. 2020, eq. 2), and where it came from if x_0 is known (eq. 6 and 7)."),
    one, back, spread,
  );
  const root = el(
    "section", { class: "lab-forward", "data-state": "loading" },
    formula,
    el(
      "div", { class: "lab-row" },
      figure(views.xt, "xt", "\\xt"),
      el("span", { class: "lab-sign" }, "="),
      figure(views.x0, "x0", "\\sqrt{\\ab_t}\\,\\xo"),
      el("span", { class: "lab-sign" }, "+"),
      figure(views.eps, "eps", "\\sqrt{1-\\ab_t}\\,\\ep"),
      el("figure", { class: "lab-figure lab-histogram" }, chart.svg,
        tex(el("figcaption", {}), "\\text{values of }\\xt\\text{ against }\\mathcal N(0,1)")),
    ),
    transport,
    strip,
    el("div", { class: "lab-under" }, hint, save),
    details,
  );
  element.replaceChildren(root);

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

  function draw() {
    if (!noising || !store.schedule) return;
    const { signal, noise } = store.schedule.columns;
    const a = signal[store.t], b = noise[store.t];
    noising.paint(views.xt, a, b);
    noising.paint(views.x0, a, 0);
    noising.paint(views.eps, 0, b);
    chart.draw(noising.density(a, b));
    fill(formula, { a: fixed(a, 3), b: fixed(b, 3) });
    if (details.open) drawDetails();
    root.dataset.t = store.t;
    root.dataset.state = "ready";
    const nearest = Math.round((store.t / store.schedule.T) * (STRIP - 1));
    thumbs.forEach(({ button }, k) => button.classList.toggle("is-here", k === nearest));
  }

  function drawDetails() {
    const { beta, posterior_variance, posterior_xt, posterior_x0 } = store.schedule.columns;
    const t = store.t;
    const at = (column) => (t ? digits(column[t], 4) : "–"); // no step leads to t = 0
    fill(one, { keep: t ? digits(Math.sqrt(1 - beta[t]), 4) : "–", beta: at(beta) });
    fill(back, { ct: at(posterior_xt), c0: at(posterior_x0) });
    fill(spread, { bt: at(posterior_variance) });
  }
  details.addEventListener("toggle", () => store.schedule && drawDetails());

  function drawStrip() {
    if (!noising || !store.schedule) return;
    const { T, columns } = store.schedule;
    const stride = Math.max(1, Math.floor(Math.max(noising.width, noising.height) / 85));
    thumbs.forEach((thumb, k) => {
      thumb.t = Math.round((k / (STRIP - 1)) * T);
      noising.paint(thumb.view, columns.signal[thumb.t], columns.noise[thumb.t], stride);
      thumb.label.textContent = `${thumb.t}`;
      thumb.button.setAttribute("aria-label", `go to t ${thumb.t}`);
    });
  }

  const saveImage = () => views.xt.toBlob((blob) => download(blob, `x_t${store.t}.png`));

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
    assign({ picture: { noising } });
    root.classList.toggle("is-pixel-art", Math.max(value.width, value.height) <= 64);
    root.dataset.picture = value.key;
    putInLink({ picture: value.picture, noise: value.seed }); // a picture of one's own stays with its owner
    if (store.schedule) {
      player.setCount(store.schedule.T + 1);
      player.go(store.t);
    }
    drawStrip();
    draw();
  }
  watch("value", sync);
  sync();
}

