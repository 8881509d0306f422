// The posterior q(x_{t-1} | x_t, x_0) of one pixel: its coefficients, its two variances, and both Gaussians drawn.

import { savers } from "./drawing.js";
import { fromLink, putInLink } from "./link.js";
import { LEVEL } from "./noising.js";
import { digits, el, fixed, shown, store, subscribe, worded } from "./store.js";
import { fill, tex } from "./tex.js";

const W = 380,
  H = 150,
  SIDES = 4; // the drawing reaches so many sqrt(beta) to either side of the mean
const CHANNELS = ["red", "green", "blue"];

const gauss = (z) => Math.exp((-z * z) / 2);

/** About five round numbers between low and high. */
function ticks(low, high) {
  const rough = (high - low) / 5,
    size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((s) => s * size >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}

/** The panel. canvases: pictures of the same size, a pixel of which is chosen by a click; ``marked`` holds the one that shows which. */
export function posterior(canvases, marked) {
  const mean = tex(
    el("div", { class: "lab-equation" }),
    "\\begin{aligned}\\tilde\\mu_t&=\\dfrac{\\sqrt{\\alpha_t}\\,(1-\\ab_{t-1})}{1-\\ab_t}\\,\\xt+\\dfrac{\\sqrt{\\ab_{t-1}}\\,\\beta_t}{1-\\ab_t}\\,\\xo\\\\&=\\num{ct}\\cdot(\\numt{xt})+\\num{c0}\\cdot(\\numo{x0})=\\num{mean}\\end{aligned}",
  );
  const spread = tex(
    el("div", { class: "lab-equation" }),
    "\\tilde\\beta_t=\\dfrac{1-\\ab_{t-1}}{1-\\ab_t}\\,\\beta_t=\\num{ratio}\\cdot\\num{beta}=\\num{bt}",
  );
  const law = tex(
    el("div", { class: "lab-equation" }),
    "q(\\xs\\mid\\xt,\\xo)=\\mathcal N(\\tilde\\mu_t,\\ \\tilde\\beta_t)=\\mathcal N\\big(\\num{mean},\\ \\num{bt}\\big)",
  );
  const svg = el("svg", { id: "lab-posterior-drawing", viewBox: `0 -4 ${W} ${H + 74}`, role: "img" });
  const mark = el("i", { class: "lab-mark", hidden: true });
  marked.append(mark);
  const number = (label) =>
    el("input", { type: "text", inputmode: "numeric", autocomplete: "off", "aria-label": label });
  const across = number("column of the pixel"),
    down = number("row of the pixel");
  const channel = el(
    "select",
    { "aria-label": "channel" },
    ...CHANNELS.map((name, i) => el("option", { value: i }, name)),
  );
  const note = el("p", { class: "lab-note", role: "status" });
  const root = el(
    "details",
    { class: "lab-details", id: "lab-posterior" },
    el("summary", {}, "The posterior of one pixel"),
    el(
      "p",
      { class: "lab-note" },
      "Where xₜ came from, if x₀ is known: what the network has to learn to do without (Ho et al. 2020, eq. 6 and 7). Click a pixel in one of the pictures above.",
    ),
    el(
      "div",
      { class: "lab-bar lab-pixel" },
      el("label", {}, "column ", across),
      el("label", {}, "row ", down),
      el("label", {}, "channel ", channel),
      el("span", { class: "lab-choice-label" }, "drawing"),
      ...savers(svg, () => `posterior-t${store.t}`),
      note,
    ),
    el(
      "div",
      { class: "lab-row lab-posterior-row" },
      el("figure", { class: "lab-figure" }, svg),
      el("div", {}, law, mean, spread),
    ),
  );

  const legend = [
    ["posterior", "variance β̃ₜ"],
    ["beta", "variance βₜ"],
    ["value xt", "xₜ"],
    ["value x0", "x₀"],
  ].flatMap(([kind, text], i) => {
    const x = 16 + i * 112 - (i === 3 ? 32 : 0),
      y = H + 62;
    const [before, after] = text.split("β̃"); // its tilde is put over it: as text, not every browser can
    const words =
      after == null
        ? [text]
        : [
            `${before}β`,
            el("tspan", { dx: "-0.58em", dy: "-0.3em" }, "˜"),
            el("tspan", { dx: "0.1em", dy: "0.3em" }, after),
          ];
    return [el("path", { class: kind, d: `M${x} ${y}H${x + 20}` }), el("text", { x: x + 26, y: y + 4 }, ...words)];
  });
  let pixel = null; // [column, row, channel]

  function choose(x, y, c) {
    const { width, height, channels } = store.picture.noising;
    const within = (v, n) => Math.min(n - 1, Math.max(0, Math.trunc(v) || 0));
    pixel = [within(x, width), within(y, height), within(c, channels)];
    [across.value, down.value, channel.value] = pixel;
    putInLink({ pixel: pixel.join(" ") });
    draw();
  }
  for (const input of [across, down, channel]) {
    input.addEventListener("change", () => store.picture && choose(across.value, down.value, channel.value));
  }
  for (const canvas of canvases) {
    canvas.title = "click a pixel for its posterior, below";
    canvas.addEventListener("click", (event) => {
      if (!store.picture) return;
      const box = canvas.getBoundingClientRect(),
        edge = canvas.clientLeft;
      root.open = true;
      choose(
        ((event.clientX - box.left - edge) / canvas.clientWidth) * canvas.width,
        ((event.clientY - box.top - edge) / canvas.clientHeight) * canvas.height,
        channel.value,
      );
    });
  }

  function draw() {
    if (!root.open || !visible() || !store.schedule || !store.picture) return;
    const { noising } = store.picture,
      { columns } = store.schedule,
      { t } = store;
    if (!pixel) return choose(...(fromLink("pixel") ?? `${noising.width >> 1} ${noising.height >> 1} 0`).split(" "));
    const i = noising.at(...pixel);
    const x_0 = noising.x0[i] / LEVEL;
    const x_t = columns.signal[t] * x_0 + (columns.noise[t] * noising.eps[i]) / LEVEL;
    mark.hidden = false;
    mark.style.left = `${((pixel[0] + 0.5) / noising.width) * 100}%`;
    mark.style.top = `${((pixel[1] + 0.5) / noising.height) * 100}%`;
    root.dataset.t = t;
    if (!t) {
      note.textContent = "No step leads to t = 0: choose a later t.";
      for (const node of [law, mean, spread])
        fill(node, { ct: "–", xt: "–", c0: "–", x0: "–", mean: "–", ratio: "–", beta: "–", bt: "–" });
      svg.replaceChildren(...legend);
      return;
    }
    const ct = columns.posterior_xt[t],
      c0 = columns.posterior_x0[t],
      beta = columns.beta[t],
      bt = columns.posterior_variance[t];
    const mu = ct * x_t + c0 * x_0;
    const n = (v) => digits(v, 4);
    for (const node of [law, mean, spread]) {
      fill(node, {
        ct: n(ct),
        xt: fixed(x_t, 4),
        c0: n(c0),
        x0: fixed(x_0, 4),
        mean: fixed(mu, 4),
        ratio: n(bt / beta),
        beta: n(beta),
        bt: n(bt),
      });
    }
    note.replaceChildren(
      ...worded(bt ? `β̃_t is ${n((100 * bt) / beta)} % of β_t` : "β̃_1 = 0: at t = 1 the posterior is x_0 itself."),
    );
    picture(mu, bt, beta, x_t, x_0);
  }

  function picture(mu, bt, beta, x_t, x_0) {
    const low = mu - SIDES * Math.sqrt(beta),
      high = mu + SIDES * Math.sqrt(beta);
    const x = (v) => ((v - low) / (high - low)) * W;
    const top = H - 14;
    const curve = (variance, height) => {
      const sigma = Math.sqrt(variance);
      return Array.from({ length: 121 }, (_, i) => {
        const v = low + (i / 120) * (high - low);
        return `${x(v).toFixed(1)} ${(H - height * gauss((v - mu) / sigma)).toFixed(1)}`;
      }).join("L");
    };
    // A Gaussian is as high as it is narrow; one without width is a line.
    const narrow = bt ? `M0 ${H}L${curve(bt, top)}L${W} ${H}Z` : `M${x(mu)} ${H}V${H - top}`;
    const wide = `M${curve(beta, top * (bt ? Math.sqrt(bt / beta) : 0.6))}`;
    const anchored = (at, room) => (at < room ? "start" : at > W - room ? "end" : "middle");
    const value = (v, name, kind) => {
      const inside = v >= low && v <= high,
        at = inside ? x(v) : v < low ? 3 : W - 3;
      const text = `${inside ? "" : v < low ? "← " : ""}${name} = ${fixed(v, 3)}${!inside && v > high ? " →" : ""}`;
      return [
        inside ? el("line", { class: `value ${kind}`, x1: at, x2: at, y1: 0, y2: H }) : null,
        el("text", { class: kind, x: at, y: kind === "xt" ? H + 30 : H + 43, "text-anchor": anchored(at, 50) }, text),
      ];
    };
    svg.setAttribute(
      "aria-label",
      `the posterior, mean ${fixed(mu, 3)}, standard deviation ${digits(Math.sqrt(bt))}; with variance beta it is ${digits(Math.sqrt(beta))}`,
    );
    svg.replaceChildren(
      el("path", { class: "posterior", d: narrow }),
      el("path", { class: "beta", d: wide }),
      ...value(x_t, "xₜ", "xt").filter(Boolean),
      ...value(x_0, "x₀", "x0").filter(Boolean),
      el("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
      ...legend,
      ...ticks(low, high).map((v) =>
        el("text", { x: x(v), y: H + 15, "text-anchor": anchored(x(v), 16) }, fixed(v, 6).replace(/\.?0+$/, "")),
      ),
    );
  }

  subscribe((changes) => {
    if (changes.has("picture") && store.picture) {
      channel.parentNode.hidden = store.picture.noising.channels === 1;
      if (pixel) choose(...pixel);
    }
    if (changes.has("schedule") || changes.has("t") || changes.has("picture")) draw();
  });
  const visible = shown(root, draw); // changes its size when it is opened
  root.addEventListener("toggle", () => (mark.hidden = !root.open));
  return root;
}
