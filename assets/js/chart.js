// A Plotly figure that is made once and kept: new data is poured into its traces, the zoom stays, and one cursor at the
// current t runs through all panels. Which column a trace shows stands in its meta: {x: "t", y: "beta"}.

import { el, setT, store, subscribe } from "./store.js";

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

/** Text, grid and background in the colours of the page, light or dark. */
function dress(layout) {
  const style = getComputedStyle(document.body);
  const ink = style.getPropertyValue("--lab-ink-soft").trim(), grid = style.getPropertyValue("--lab-grid").trim();
  const dressed = {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, color: ink },
    hoverlabel: { bgcolor: style.getPropertyValue("--lab-panel").trim(), font: { color: ink } },
    annotations: (layout.annotations ?? []).map((a) => ({ ...a, font: { ...a.font, color: ink } })),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: style.getPropertyValue("--lab-ink").trim() },
  };
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) {
      dressed[key] = { ...layout[key], gridcolor: grid, zerolinecolor: grid, linecolor: grid };
    }
  }
  return dressed;
}

/**
 * A figure in ``node``. figure: {data, layout} from Python. Returns {update(columns)}.
 */
export function chart(node, figure, url, name) {
  const plot = el("div", { class: "lab-plot", style: `height:${figure.layout.height}px` });
  const cursors = el("div", { class: "lab-cursors", "aria-hidden": "true" });
  const frame = el("div", { class: "lab-plot-frame" }, plot, cursors);
  node.append(frame);
  let columns = null;
  let made = false;
  let pending = 0;

  const traces = () =>
    figure.data.map((trace) => ({
      ...trace,
      x: columns[trace.meta.x] ?? [],
      y: columns[trace.meta.y] ?? [],
      ...(trace.meta.error ? { error_y: { ...trace.error_y, array: columns[trace.meta.error] } } : {}),
    }));

  async function render() {
    pending = 0;
    // Plotly measures its box: in a closed tab there is none, and the tab's opening calls again.
    if (!columns || !plot.clientWidth) return;
    const Plotly = await plotly(url);
    await Plotly.react(plot, traces(), dress(figure.layout), {
      responsive: true,
      displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: { filename: `ddpm-lab-${name}`, scale: 2 },
    });
    if (!made) {
      made = true;
      plot.on("plotly_relayout", cursor);
      plot.on("plotly_click", (event) => setT(event.points[0].x));
    }
    cursor();
    frame.dataset.state = "ready";
  }
  const ask = () => {
    pending ||= requestAnimationFrame(render);
  };

  function cursor() {
    if (!made || !store.schedule) return;
    const full = plot._fullLayout;
    const axes = Object.keys(full).filter((k) => /^xaxis\d*$/.test(k)).map((k) => full[k]);
    const lines = axes.map((x) => {
      const y = full[`yaxis${x.anchor.slice(1)}`];
      const at = x.l2p(store.t);
      const inside = at >= 0 && at <= x._length;
      return { left: x._offset + at, top: y._offset, height: y._length, inside };
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

  subscribe(cursor);
  new ResizeObserver(() => plot.clientWidth && ask()).observe(frame);
  new MutationObserver(ask).observe(document.body, { attributeFilter: ["class"] });
  return {
    update(next) {
      columns = next;
      ask();
    },
  };
}
