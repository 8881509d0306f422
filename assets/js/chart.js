// A Plotly figure that is made once and kept: new data is poured into its traces, the zoom stays, and one cursor at the
// current t runs through all panels. Which column a trace shows stands in its meta: {x: "t", y: "beta"}.

import { el, setT, shown, stepAtSnr, store, subscribe } from "./store.js";

const SPARE = 0.5; // of its length that an axis gets where a drag goes beyond its end
const SETTLE = 180; // ms without news after which lines that were only moved are drawn by Plotly again

/** What curves can be drawn over: a title, where step t lies, and which step lies there. */
const AXES = {
  t: { title: "t", of: (t) => t, step: (x) => x },
  u: { title: "t/T", of: (t) => t / store.schedule.T, step: (x) => x * store.schedule.T },
  log_snr: {
    title: "log SNR (noise grows to the right)",
    of: (t) => store.schedule.columns.snr_db[t] * (Math.LN10 / 10),
    step: (x) => stepAtSnr(store.schedule, x * (10 / Math.LN10)),
  },
};

let library = null;

function plotly(url) {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", { src: url });
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return library;
}

/** A colour of the page, light or dark; or of paper, which is always light. */
const read = (name, paper) =>
  getComputedStyle(paper ? document.documentElement : document.body)
    .getPropertyValue(name)
    .trim();

/** What the colours of ui/theme.py are called in the style sheet, which has them for dark pages too. */
const NAMES = {
  "#0072B2": "--x0",
  "#D55E00": "--eps",
  "#009E73": "--pred",
  "#64788F": "--lab-schedule",
  "#9DB0C4": "--lab-schedule-light",
};
/** A trace, or a part of one, in the colours that ``colour`` finds by name. */
function themed(part, colour) {
  const result = { ...part };
  for (const [key, value] of Object.entries(part)) {
    if (key === "color" && value in NAMES) result.color = colour(NAMES[value]);
    else if (["line", "marker", "error_y"].includes(key)) result[key] = themed(value, colour);
  }
  return result;
}

/** Text, grid and background in those colours. */
function dress(layout, paper = false) {
  const ink = read("--lab-ink-soft", paper),
    grid = read("--lab-grid", paper);
  const dressed = {
    ...layout,
    paper_bgcolor: paper ? "#ffffff" : "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, color: ink },
    hoverlabel: { bgcolor: read("--lab-panel", paper), font: { color: ink } },
    annotations: (layout.annotations ?? []).map((a) => ({ ...a, font: { ...a.font, color: ink } })),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: read("--lab-ink", paper) },
  };
  const page = paper ? "#ffffff" : read("--lab-page");
  for (const key of Object.keys(layout)) {
    if (/^legend\d*$/.test(key)) dressed[key] = { ...layout[key], bgcolor: `${page}cc` }; // lines shine through
    if (/^[xy]axis\d*$/.test(key)) {
      dressed[key] = { ...layout[key], gridcolor: grid, zerolinecolor: grid, linecolor: grid };
    }
  }
  return dressed;
}

/** The range of an axis in steps so coarse that a drag seldom leaves it: the axis stands still while curves move. */
function coarse(kind, values) {
  if (kind === "unit") return [0, 1.02];
  let low = Infinity,
    high = -Infinity;
  for (const v of values) {
    if (v == null) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  if (low > high) return [0, 1]; // nothing to show yet
  if (kind === "decades") return [Math.floor(Math.log10(low) - 0.05), Math.ceil(Math.log10(high) + 0.05)];
  if (kind === "fives") return [5 * Math.floor(low / 5 - 0.05), 5 * Math.ceil(high / 5 + 0.05)];
  const size = 10 ** Math.floor(Math.log10(high));
  return [0, size * [1.05, 1.5, 2.1, 3.1, 5.2, 7.6, 10.5].find((step) => high <= step * size * 0.98)];
}

/** A range in place of one that was: the same as long as it is fit, so that an axis stands still for most of a drag. */
function steady(wanted, was) {
  const [low, high] = wanted.toSorted((a, b) => a - b),
    [from, to] = was.toSorted((a, b) => a - b);
  if (low >= from && high <= to) return 2 * (high - low) >= to - from ? was : wanted;
  const spare = SPARE * (high - low);
  const range = [low < from ? low - spare : low, high > to ? high + spare : high];
  return wanted[0] > wanted[1] ? range.reverse() : range;
}

const same = (a, b) => a.length === b.length && a.every((v, i) => v === b[i]);

/**
 * A figure in ``node``. figure: {data, layout} from Python. Returns {update, save, frame, panel, within, under, cursor}.
 *
 * options: linked: whether the page's choice of axis and its pins are shown; over: {of, step}, as in AXES, where x is
 * something else; after(): called when the figure was drawn.
 */
export function chart(node, figure, url, name, { linked = false, over = null, after = () => {} } = {}) {
  const plot = el("div", { class: "lab-plot", style: `height:${figure.layout.height}px` });
  const cursors = el("div", { class: "lab-cursors", "aria-hidden": "true" });
  const frame = el(
    "div",
    { class: "lab-plot-frame", tabindex: 0, role: "group", "aria-label": "curves; arrow keys move the step t" },
    plot,
    cursors,
  );
  node.append(frame);
  const panels = Object.values(figure.layout.meta ?? {});
  const axis = () => over ?? AXES[linked ? store.axis : "t"];
  let columns = null,
    Plotly = null,
    made = false,
    pending = 0,
    drawn = null,
    settle = 0;

  /** Every trace: those of the schedule, then the main ones of each pinned schedule. */
  function traces(colour) {
    const along = (trace) => (trace.meta.x === "t" && linked ? store.axis : trace.meta.x);
    const now = figure.data.map((trace, i) => ({
      ...themed(trace, colour),
      uid: `now${i}`,
      x: columns[along(trace)] ?? [],
      y: columns[trace.meta.y] ?? [],
      ...(linked && trace.meta.y === "beta" ? { name: store.schedule.name, showlegend: store.pins.length > 0 } : {}),
      ...(trace.meta.error ? { error_y: { ...themed(trace.error_y, colour), array: columns[trace.meta.error] } } : {}),
    }));
    if (!linked) return now;
    const pinned = store.pins.flatMap((pin, k) =>
      figure.data
        .filter((trace) => trace.meta.main)
        .map((trace, i) => ({
          ...trace,
          uid: `pin${k}x${i}`,
          name: pin.name,
          showlegend: trace.meta.y === "beta",
          x: pin.chart[along(trace)],
          y: pin.chart[trace.meta.y],
          line: { ...trace.line, color: colour(`--pin-${pin.colour + 1}`), dash: DASHES[pin.colour], width: 1.8 },
        })),
    );
    return [...now, ...pinned];
  }

  /** The ranges that the axes should have, if they are ours to set: {axis: [from, to]}. */
  function ranges(drawing) {
    const wanted = {};
    const short = (key) => key.replace("axis", "");
    for (const { axis: key, range } of panels) {
      const inside = drawing.filter((trace) => (trace.yaxis ?? "y") === short(key));
      wanted[key] = coarse(
        range,
        inside.flatMap((trace) => trace.y),
      );
      const across = key.replace("y", "x"),
        values = inside.flatMap((trace) => trace.x);
      if (store.axis === "log_snr") wanted[across] = coarse("fives", values).reverse();
      else wanted[across] = [0, store.axis === "u" ? 1 : values.reduce((a, b) => Math.max(a, b), 1)];
    }
    return wanted;
  }

  /** The layout with these ranges, and the axis that was chosen. */
  function layout(wanted) {
    const ranged = structuredClone(figure.layout);
    for (const [key, range] of Object.entries(wanted)) {
      ranged[key].range = range;
      if (key.startsWith("x") && ranged[key].title) ranged[key].title.text = axis().title;
    }
    return ranged;
  }

  /** Which lines there are: while these stay, they need only be moved. */
  const lines = (drawing) => [linked ? store.axis : "t", ...drawing.map((trace) => trace.uid)].join();

  async function render() {
    pending = 0;
    // Plotly measures its box: in a closed tab there is none, and the tab's opening calls again.
    if (!columns || !open()) return;
    Plotly = await plotly(url);
    const drawing = traces(read),
      wanted = ranges(drawing);
    drawn = { lines: lines(drawing), ranges: wanted };
    await Plotly.react(plot, drawing, dress(layout(wanted)), {
      responsive: true,
      displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: { filename: `ddpm-lab-${name}`, scale: 2 },
    });
    if (!made) {
      made = true;
      plot.on("plotly_relayout", () => (cursor(), after()));
    }
    cursor();
    after();
    frame.dataset.state = "ready";
  }
  const ask = () => {
    pending ||= requestAnimationFrame(render);
  };

  /**
   * While a hand drags: the schedule's lines moved where Plotly drew them, a tenth of the work of drawing all anew; only
   * the axes whose range has become another are drawn by Plotly. Says whether it could.
   */
  function move() {
    if (!made || !panels.length || !open() || pending) return false;
    const moved = traces(() => ""); // to ask for colours would cost a look at the style sheet
    if (lines(moved) !== drawn.lines) return false;
    const wanted = Object.fromEntries(
      Object.entries(ranges(moved)).map(([key, range]) => [key, steady(range, drawn.ranges[key])]),
    );
    const left = Object.keys(wanted).filter((key) => !same(wanted[key], drawn.ranges[key]));
    if (left.some((key) => !same(plot._fullLayout[key].range, drawn.ranges[key]))) return false; // zoomed by hand
    if (left.length) {
      drawn.ranges = wanted;
      Plotly.relayout(plot, Object.fromEntries(left.map((key) => [`${key}.range`, wanted[key]])));
    }
    for (const trace of moved.slice(0, figure.data.length)) {
      const paths = plot.querySelectorAll(`.trace${trace.uid} path.js-line`);
      if (paths.length !== 1) return false;
      const x = plot._fullLayout[axisOf(trace, "x")],
        y = plot._fullLayout[axisOf(trace, "y")];
      let d = "",
        pen = "M";
      for (let i = 0; i < trace.x.length; i++) {
        if (trace.y[i] == null || trace.x[i] == null) {
          pen = "M";
          continue;
        }
        d += `${pen}${x.d2p(trace.x[i]).toFixed(1)},${y.d2p(trace.y[i]).toFixed(1)}`;
        pen = "L";
      }
      paths[0].setAttribute("d", d);
    }
    clearTimeout(settle);
    settle = setTimeout(ask, SETTLE);
    cursor();
    after();
    return true;
  }
  const axisOf = (trace, letter) => (trace[`${letter}axis`] ?? letter).replace(letter, `${letter}axis`);

  /** Where the panel of a y axis lies within the frame, and its axes: {x, y, left, top, width, height}. */
  function panelOf(key) {
    const y = plot._fullLayout[key],
      x = plot._fullLayout[key.replace("y", "x")];
    return { x, y, left: x._offset, top: y._offset, width: x._length, height: y._length };
  }
  const all = () =>
    Object.keys(plot._fullLayout)
      .filter((key) => /^yaxis\d*$/.test(key))
      .map(panelOf);

  /** Where a pointer is in a panel, in pixels from its upper left corner. */
  function within({ left, top }, event) {
    const box = plot.getBoundingClientRect();
    return [event.clientX - box.left - left, event.clientY - box.top - top];
  }

  /** Whether a pointer is over a panel. */
  function under(panel, event) {
    const [px, py] = within(panel, event);
    return px >= 0 && px <= panel.width && py >= 0 && py <= panel.height;
  }

  function cursor() {
    if (!made || !store.schedule) return;
    const lines = all().map(({ x, left, top, width, height }) => {
      const at = x.d2p(axis().of(store.t));
      return { left: left + at, top, height, inside: at >= 0 && at <= width };
    });
    while (cursors.children.length < lines.length) cursors.append(el("i"));
    lines.forEach(({ left, top, height, inside }, i) => {
      const { style } = cursors.children[i];
      style.transform = `translate(${left}px, ${top}px)`;
      style.height = `${height}px`;
      style.visibility = inside ? "visible" : "hidden";
    });
    frame.dataset.t = store.t;
  }

  // The cursor follows the pointer through any panel.
  plot.addEventListener("pointermove", (event) => {
    if (!made || !store.schedule) return;
    const here = all().find((panel) => under(panel, event));
    if (here) setT(axis().step(here.x.p2d(within(here, event)[0])));
  });
  frame.addEventListener("keydown", (event) => {
    if (event.target !== frame) return;
    const far = { ArrowLeft: -1, ArrowRight: 1 }[event.key] * (event.shiftKey ? 10 : 1);
    if (!far) return;
    setT(store.t + far);
    event.preventDefault();
  });

  subscribe((changes) => {
    if (linked && (changes.has("axis") || changes.has("pins"))) ask();
    else cursor();
  });
  const open = shown(frame, ask);
  new MutationObserver(ask).observe(document.body, { attributeFilter: ["class"] });
  return {
    frame,
    /** The panel of a curve that the layout's meta names; null before there is one. */
    panel: (curve) => (made ? panelOf(figure.layout.meta[curve].axis) : null),
    within,
    under,
    /** Draw the cursor where ``over`` says it now is. */
    cursor,
    /** Other numbers; ``anew`` where more of the figure has changed than they. */
    update(next, anew = false) {
      columns = next;
      if (anew || !move()) ask();
    },
    /** The figure as a file, on white as paper is, with the axes as they are zoomed. */
    async save(format) {
      const { width, height } = plot.getBoundingClientRect();
      const shape = dress(
        layout(Object.fromEntries(Object.keys(drawn.ranges).map((key) => [key, plot._fullLayout[key].range]))),
        true,
      );
      await Plotly.downloadImage(
        { data: traces((name) => read(name, true)), layout: shape },
        {
          format,
          width,
          height,
          scale: format === "png" ? 2 : 1,
          filename: `ddpm-lab-${name}`,
        },
      );
    },
  };
}

/** How the lines of pinned schedules are broken. */
export const DASHES = ["6px,3px", "2px,2px", "9px,3px,2px,3px", "12px,4px", "4px,2px", "10px,2px,2px,2px,2px,2px"];
