// What the network sees at step t: x_t, the noise that is in it, the noise it finds, what it misses, and its x_0.

import { prepare } from "./noising.js";
import { Player } from "./player.js";
import { assign, digits, el, oneAtATime, setT, shown, store, subscribe, worded } from "./store.js";
import { fill, tex } from "./tex.js";

const NOISE_GAIN = 0.4; // noise beyond 2.5 standard deviations is cut off, not beyond one

/**
 * One image with one noise, and the network's answer at levels even in log SNR, from which any step follows: see look()
 * in ui/seen.py. It answers with v = sqrt(ab) eps - sqrt(1 - ab) x_0, which changes slowly enough with the level to
 * be interpolated, and keeps its digits at both ends.
 */
class Sight {
  constructor({ width, height, channels, log_snr, unit, data }) {
    Object.assign(this, { width, height, channels, levels: log_snr, unit });
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const n = width * height * channels;
    this.x0 = Float32Array.from(bytes.subarray(0, n), (v) => v / 127.5 - 1);
    const words = new Int16Array(bytes.buffer.slice(n));
    this.eps = Float32Array.from(words.subarray(0, n), (v) => v / unit);
    this.v = log_snr.map((_, k) => words.subarray(n * (k + 1), n * (k + 2)));
  }

  /** {xt, found, off, guess, error} at a level: x_t, eps_theta, eps_theta - eps, the predicted x_0, |off|^2 / D. */
  at(logSnr) {
    const { x0, eps, v, unit, levels } = this,
      last = levels.length - 1;
    const a = Math.sqrt(1 / (1 + Math.exp(-logSnr))),
      b = Math.sqrt(1 / (1 + Math.exp(logSnr)));
    const place = Math.min(last, Math.max(0, (last * (levels[0] - logSnr)) / (levels[0] - levels[last])));
    const k = Math.min(last - 1, Math.floor(place)),
      part = place - k;
    const low = v[k],
      high = v[k + 1];
    const [xt, found, off, guess] = Array.from({ length: 4 }, () => new Float32Array(x0.length));
    let sum = 0;
    for (let i = 0; i < x0.length; i++) {
      const predicted = ((1 - part) * low[i] + part * high[i]) / unit;
      xt[i] = a * x0[i] + b * eps[i];
      found[i] = b * xt[i] + a * predicted;
      guess[i] = a * xt[i] - b * predicted;
      off[i] = found[i] - eps[i];
      sum += off[i] * off[i];
    }
    return { xt, found, off, guess, error: sum / x0.length };
  }

  /** Paint values, 0 as mid-grey and 1 / gain as white. */
  paint(canvas, values, gain = 1) {
    const { context, image } = prepare(canvas, this.width, this.height);
    const out = image.data,
      c = this.channels,
      green = c === 3 ? 1 : 0,
      blue = 2 * green;
    for (let i = 0, o = 0; i < values.length; i += c, o += 4) {
      out[o] = 127.5 * (gain * values[i] + 1);
      out[o + 1] = 127.5 * (gain * values[i + green] + 1);
      out[o + 2] = 127.5 * (gain * values[i + blue] + 1);
    }
    context.putImageData(image, 0, 0);
  }
}

export function mount(element, { props, watch, server }) {
  const formula = tex(
    el("div", { class: "lab-formula" }),
    "\\tfrac1D L_{t-1}=w_t\\,\\tfrac1D\\lVert\\ep-\\epred\\rVert^2+c_t=\\num{w}\\cdot\\num{e}+\\num{c}\\ \\text{nats}=\\num{b}\\ \\text{bits/dim}",
  );
  const faces = el("div", { class: "lab-faces", role: "group", "aria-label": "image that the network is shown" });
  const pictures = {};
  const figure = (name, kind, source, label) => {
    pictures[name] = el("canvas", {
      class: `lab-seen-${name} lab-pixels`,
      role: "img",
      "aria-label": label,
      width: 32,
      height: 32,
    });
    return el(
      "figure",
      { class: `lab-figure lab-figure-${kind}` },
      pictures[name],
      el("figcaption", {}, tex(el("span", {}), source)),
    );
  };
  const off = figure("off", "off", "\\epred-\\ep", "what the network misses, amplified");
  const gain = el("span", {});
  off.lastChild.append(gain);
  const error = el("p", { class: "lab-note", role: "status", "aria-live": "off" });
  const transport = el("div", {});
  const root = el(
    "section",
    { class: "lab-seen", "data-state": "waiting" },
    formula,
    faces,
    el(
      "div",
      { class: "lab-row lab-row-five" },
      figure("xt", "xt", "\\xt", "the noised image x_t"),
      figure("eps", "eps", "\\ep", "the noise that is in it"),
      figure("found", "eps", "\\epred(\\xt,t)", "the noise that the network finds"),
      off,
      figure("guess", "pred", "\\xpred", "the clean image that the network predicts"),
    ),
    transport,
    error,
  );
  element.replaceChildren(root);

  const player = new Player(transport, {
    label: "step t",
    moved: setT,
    say: (t) => ({ short: `t = ${t}`, spoken: `t ${t} of ${store.schedule.T}` }),
  });

  function draw() {
    if (!store.schedule) return;
    const { snr_db, signal } = store.schedule.columns,
      t = store.t;
    equation(t);
    if (!store.sight) return;
    // At t = 0 there is no noise to find: as near as the schedule comes.
    const view = store.sight.at(snr_db[Math.max(1, t)] * (Math.LN10 / 10));
    const { sight } = store;
    sight.paint(pictures.xt, view.xt);
    sight.paint(pictures.eps, sight.eps, NOISE_GAIN);
    sight.paint(pictures.found, view.found, NOISE_GAIN);
    // Amplified by powers of two until it can be seen.
    const more = 2 ** Math.max(0, Math.round(Math.log2(0.8 / Math.sqrt(view.error))));
    sight.paint(pictures.off, view.off, NOISE_GAIN * more);
    sight.paint(pictures.guess, view.guess);
    gain.textContent = more > 1 ? ` × ${more}` : "";
    const rmse = 127.5 * Math.sqrt(view.error * Math.exp(-snr_db[Math.max(1, t)] * (Math.LN10 / 10)));
    error.replaceChildren(
      ...worded(
        t
          ? `This image, this noise: ‖ε − ε_θ‖² / D = ${digits(view.error)}, and the predicted x_0 is off by ${digits(rmse)} of 255 grey levels. ${props.value.own && store.loss?.about !== "your picture" ? "Measure draws its curves." : remark(signal[t])}`
          : "At t = 0 there is no noise to find; shown is t = 1.",
      ),
    );
    root.dataset.t = t;
    root.dataset.state = "ready";
  }

  const remark = (signal) =>
    signal > 0.97
      ? "Little noise: hard to find, x_0 easy to guess."
      : signal < 0.1
        ? "Nearly all noise: easy to find, x_0 hard to guess."
        : "";

  /** The line at the top, with the errors that were measured last. */
  function equation(t) {
    const numbers = { w: "–", e: "–", c: "–", b: "–" };
    if (store.loss && t > 1) {
      const { weight, extra, error } = store.loss.at(t);
      const bits = (weight * error + extra) / Math.LN2;
      Object.assign(numbers, { w: digits(weight), e: digits(error), c: digits(extra), b: digits(bits) });
    }
    fill(formula, numbers);
  }

  const buttons = [];
  let index = 0;
  function showFaces(value) {
    buttons.length = 0;
    buttons.push(
      ...value.faces.map(({ picture, name }, i) =>
        el(
          "button",
          {
            type: "button",
            class: "lab-face",
            title: name,
            "aria-label": `show the network ${name}`,
            onclick: () => ((index = i), ask()),
          },
          el("img", { src: picture, alt: "", class: "lab-pixels" }),
        ),
      ),
    );
    faces.replaceChildren(...buttons);
    faces.hidden = !buttons.length;
  }

  const ask = oneAtATime(async () => {
    const value = props.value,
      mine = index;
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === mine)));
    if (!value.own && !open()) return; // asked for when the tab is opened
    if (!value.own) {
      root.dataset.state = "asking";
      error.textContent = "The network looks at this image under every amount of noise …";
    }
    let payload;
    try {
      payload = value.own ?? (await server.look_at({ network: value.network, index: mine }));
    } catch {
      error.textContent = "The server did not answer; choose an image to try again.";
      return;
    }
    if (value !== props.value || mine !== index) return;
    seen = subject;
    assign({ sight: new Sight(payload) });
    root.dataset.image = value.own ? "own" : mine;
  });

  let subject = null,
    seen = null;
  function sync() {
    const value = props.value;
    if (!value) return;
    const next = value.own ? "own" : value.network;
    if (next === subject && !value.own) return; // the image that was chosen stays
    subject = next;
    index = 0;
    seen = null;
    showFaces(value);
    ask();
  }

  /** Be where the page is. In a closed tab nothing is drawn: others are at work. */
  function follow() {
    if (!store.schedule || !open()) return;
    const count = store.schedule.T + 1;
    if (player.count !== count || player.index !== store.t) {
      player.setCount(count);
      player.go(store.t);
    }
    draw();
  }
  const open = shown(root, () => {
    if (seen === null) ask();
    follow();
  });
  subscribe(follow);
  watch("value", sync);
  sync();
}
