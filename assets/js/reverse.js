// The reverse process: previews while it runs, then every frame under the player, all samples or one of them.

import { chart } from "./chart.js";
import { decode, open } from "./frames.js";
import { Player } from "./player.js";
import { el, fixed, oneAtATime, setT, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/** What a frame shows, in the order of its planes; and what a step is made of, with the symbols of its formula. */
const PLANES = [
  { kind: "xt", source: "\\xt", words: "the samples", label: "the samples x_t" },
  { kind: "pred", source: "\\xpred", words: "the end it predicts", label: "the predicted clean images" },
  { kind: "eps", source: "\\epred", words: "noise seen", label: "the predicted noise" },
  { kind: "z", source: "z", words: "noise added", label: "the noise that the step adds" },
];
const TERMS = { xt: "\\xt", x0: "\\xpred", x0_before: "\\xpred'", x0_before2: "\\xpred''", eps: "\\epred", z: "z" };

const FORMS = [
  ["gif", "GIF", "an animation that plays everywhere, in 256 colours"],
  ["webp", "WebP", "an animation with every pixel as it is"],
  ["mp4", "MP4", "a film"],
  ["png", "PNG", "the samples"],
  [
    "npz",
    "NPZ",
    "x_t and predicted x_0 of every frame, and all that decided them: python -m diffusion sample --like ddpm-lab.npz",
  ],
  ["py", "Python", "copy the code that draws the same samples"],
];

export function mount(element, { props, watch, server }) {
  const views = PLANES.map(({ kind, label }) =>
    el("canvas", { class: `lab-pixels lab-traj-${kind}`, role: "img", "aria-label": label, width: 128, height: 128 }),
  );
  const figures = PLANES.map(({ kind, source, words }, k) =>
    el(
      "figure",
      { class: `lab-figure lab-figure-${kind}` },
      views[k],
      el("figcaption", {}, tex(el("span", {}), source), ` ${words}`),
    ),
  );
  const progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "sampling" });
  const status = el("p", { class: "lab-status", role: "status" }, "Drawing the first samples …");
  const transport = el("div", {});
  const formula = el("div", { class: "lab-formula" });
  const which = el("span", { class: "lab-which" });
  const small = (text, name, action) =>
    el("button", { type: "button", class: "lab-small", "aria-label": name, title: name, onclick: action }, text);
  const one = el(
    "div",
    { class: "lab-one" },
    small("‹", "the sample before", () => enlarge(only - 1)),
    which,
    small("›", "the next sample", () => enlarge(only + 1)),
    small("All", "show all samples (Escape)", () => enlarge(null)),
  );
  const toOne = small("Enlarge one", "show one sample alone; a click on it does the same", () => enlarge(0));
  const away = el(
    "div",
    { class: "lab-bar lab-away" },
    el("span", { class: "lab-choice-label" }, "take away"),
    ...FORMS.map(([form, name, about]) =>
      el(
        "button",
        {
          type: "button",
          class: "lab-save",
          title: about,
          "data-form": form,
          disabled: true,
          onclick: (e) => take(e.target),
        },
        name,
      ),
    ),
  );
  const numbers = el("div", { class: "lab-numbers" });
  const far = el("p", { class: "lab-note lab-far" });
  const code = el("pre", { class: "lab-code", hidden: true }, el("code", {}));
  const root = el(
    "section",
    { class: "lab-reverse", "data-state": "empty" },
    formula,
    el("div", { class: "lab-statusline" }, status, progress, one, toOne),
    el("div", { class: "lab-trajectory" }, ...figures),
    transport,
    numbers,
    el("div", { class: "lab-notes" }),
    away,
    code,
    far,
  );
  element.replaceChildren(root);
  const notes = root.querySelector(".lab-notes");

  let frames = null; // of the last run that ended
  let live = null; // of the run in progress
  let value = null;
  let only = null; // the sample that is shown alone
  let generation = 0;

  const shown = () => live ?? frames;
  const paint = (i) => views.forEach((view, plane) => shown().paint(view, i, plane, only));

  function show(i) {
    if (live || !frames) return;
    paint(i);
    curves.cursor();
    fill(formula, Object.fromEntries(Object.entries(value.frames[i].terms).map(([name, v]) => [name, fixed(v, 3)])));
    root.dataset.frame = i;
    root.dataset.t = value.frames[i].t;
  }

  /** Sample k alone, or with null all of them. */
  function enlarge(k) {
    const count = shown()?.samples;
    if (!count) return;
    only = k == null || count < 2 ? null : (k + count) % count;
    one.hidden = only == null;
    toOne.hidden = only != null || count < 2;
    which.textContent = only == null ? "" : `${only + 1} of ${count}`;
    root.dataset.only = only ?? "";
    paint(live ? 0 : player.index);
  }
  views.forEach((view) =>
    view.addEventListener("click", (event) => {
      if (!shown()) return;
      const box = view.getBoundingClientRect();
      if (only != null) return enlarge(null);
      const k = shown().at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      if (k != null) enlarge(k);
    }),
  );
  document.addEventListener("keydown", (event) => event.key === "Escape" && visible && only != null && enlarge(null));

  /** The box of a picture keeps its place whether it holds all samples or one; where no noise is added, that is said. */
  function fit() {
    root.style.setProperty("--aspect", shown().aspect);
    const none = shown().planes < PLANES.length;
    figures[3].classList.toggle("is-none", none);
    figures[3].lastChild.lastChild.textContent = none ? " none here" : ` ${PLANES[3].words}`;
    enlarge(only != null && only < shown().samples ? only : null);
  }

  /** Python below the buttons, and in the clipboard where the page may write to it. */
  async function showCode(text) {
    code.hidden = !code.hidden;
    code.querySelector("code").textContent = text;
    if (code.hidden) return;
    try {
      await navigator.clipboard.writeText(text);
      notes.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(code.querySelector("code")); // without https: ready to be copied by hand
    }
  }

  /** The run that is shown as a file. */
  async function take(button) {
    const words = button.textContent;
    button.disabled = true;
    button.textContent = "…";
    try {
      const answer = await server.take_away({ file: value.file.path, form: button.dataset.form });
      if (answer.error) notes.textContent = answer.error;
      else if (answer.text) showCode(answer.text);
      else el("a", { href: answer.url, download: answer.name }).click();
    } catch {
      notes.textContent = "The server did not answer; try again.";
    }
    button.textContent = words;
    button.disabled = false;
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
  let visible = false,
    stale = true;
  /** How far the page's schedule is from the one in training; asked when it is seen. */
  const compare = oneAtATime(async () => {
    if (!stale || !visible || !store.schedule) return;
    stale = false;
    try {
      far.textContent = await server.compare_schedule({ settings: store.schedule.settings, network: store.network });
    } catch {
      far.textContent = ""; // the next schedule asks again
    }
  });
  new IntersectionObserver((entries) => {
    visible = entries.at(-1).isIntersecting;
    compare();
  }).observe(root);
  subscribe((changes) => {
    if (changes.has("schedule") || changes.has("network")) {
      stale = true;
      compare();
    }
    if (!changes.has("t") || live || !frames || !linked() || changes.has("schedule")) return;
    if (value.frames[player.index].t === store.t) return; // it was the player that moved t
    const nearest = value.frames.reduce(
      (best, f, i, all) => (Math.abs(f.t - store.t) < Math.abs(all[best].t - store.t) ? i : best),
      0,
    );
    player.go(nearest);
  });
  // Drawn when it is first seen; the cursor stands where the player is, be that the page's t or not.
  const curves = chart(numbers, window.innerWidth < 760 ? props.narrow : props.wide, props.plotly, "trajectory", {
    over: { title: "t", of: (t) => value?.frames[player.index]?.t ?? t, step: (x) => (linked() ? x : store.t) },
  });

  /** x_s as a sum of what the sampler uses: a term that is zero in every step is none of its. */
  function write() {
    const used = Object.keys(TERMS).filter((name) => value.frames.some(({ terms }) => terms[name]));
    const sum = used.map((name) => `\\num{${name}}\\,${TERMS[name]}`).join(" + ");
    tex(formula, `\\htmlClass{ink-xt}{x_s} = ${sum}`);
  }

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
      live = decode(next.preview, next.shape, next.planes);
      fit();
      // Pressed far down among the controls, where they lie below the pictures.
      if (root.dataset.state !== "live" && matchMedia("(max-width: 760px)").matches)
        root.scrollIntoView({ block: "start" });
      root.dataset.state = "live";
      root.dataset.previews = +(root.dataset.previews ?? 0) + 1;
    } else if (next.state === "done") {
      const buffer = await (await fetch(next.file.url)).arrayBuffer();
      if (mine !== generation) return;
      frames = open(buffer);
      live = null;
      value = next;
      notes.textContent = next.note;
      code.hidden = true;
      for (const button of away.querySelectorAll("button")) button.disabled = false;
      write();
      const column = (name) => next.frames.map(({ numbers }) => numbers[name]);
      curves.update({
        t: next.frames.map(({ t }) => t),
        ...Object.fromEntries(Object.keys(next.frames[0].numbers).map((name) => [name, column(name)])),
      });
      player.setCount(frames.count);
      player.go(frames.count - 1);
      fit();
      show(frames.count - 1);
      root.dataset.state = next.stopped ? "stopped" : "ready";
      root.dataset.run = next.key;
    } else {
      live = null;
      root.dataset.state = frames ? "ready" : "empty";
      if (!frames) return;
      fit(); // the last good run is still there
      show(player.index);
    }
  }
  one.hidden = toOne.hidden = true;
  watch("value", sync);
  sync();
}
