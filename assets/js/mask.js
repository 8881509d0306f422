// A picture to paint on: what is painted over is to be made up. The mask goes to Python as text, a digit a pixel.

import { decode } from "./frames.js";
import { el } from "./store.js";

const SHADE = [230, 159, 0]; // what is painted over, in the colour of warnings

export function mount(element, { props, watch }) {
  const canvas = el("canvas", {
    class: "lab-pixels",
    tabindex: 0,
    role: "img",
    width: 32,
    height: 32,
    "aria-label": "the picture: paint with the pointer over what is to be made up",
  });
  const tool = (text, name, action) =>
    el("button", { type: "button", class: "lab-small", title: name, "data-mask": text, onclick: action }, text);
  const root = el(
    "section",
    { class: "lab-mask", "data-state": "empty" },
    canvas,
    el(
      "div",
      { class: "lab-bar" },
      tool("Right half", "paint over the right half", () => every((x, _, w) => x >= w / 2)),
      tool("Middle", "paint over the middle", () =>
        every((x, y, w, h) => Math.max(Math.abs(x - w / 2 + 0.5) / w, Math.abs(y - h / 2 + 0.5) / h) < 0.25),
      ),
      tool("Clear", "paint over nothing", () => every(() => false)),
    ),
  );
  element.replaceChildren(root);

  let picture = null;
  let mask = null; // 1 where it is painted over
  let size = [32, 32];

  function draw() {
    const [w, h] = size;
    picture.paint(canvas, 0, 0, 0);
    const context = canvas.getContext("2d"),
      image = context.getImageData(0, 0, w, h);
    mask.forEach((on, i) => {
      for (let c = 0; on && c < 3; c++) image.data[4 * i + c] = 0.3 * image.data[4 * i + c] + 0.7 * SHADE[c];
    });
    context.putImageData(image, 0, 0);
    props.value = { ...props.value, mask: mask.join("") };
    root.dataset.painted = mask.reduce((a, b) => a + b, 0);
  }
  function every(inside) {
    if (!picture) return;
    const [w, h] = size;
    mask = Uint8Array.from(mask, (_, i) => (inside(i % w, Math.floor(i / w), w, h) ? 1 : 0));
    draw();
  }
  function paint(event) {
    if (!picture) return;
    const box = canvas.getBoundingClientRect(),
      [w, h] = size;
    const x = ((event.clientX - box.left) / box.width) * w,
      y = ((event.clientY - box.top) / box.height) * h;
    const radius = w / 12;
    mask.forEach((_, i) => {
      if (Math.hypot((i % w) + 0.5 - x, Math.floor(i / w) + 0.5 - y) <= radius) mask[i] = 1;
    });
    draw();
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    paint(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && paint(event));

  function sync() {
    const value = props.value;
    if (!value?.data || value.key === root.dataset.key) return;
    const [, h, w] = value.shape;
    picture = decode(value.data, value.shape, 1);
    size = [w, h];
    if (mask?.length !== w * h) mask = new Uint8Array(w * h);
    root.dataset.key = value.key;
    root.dataset.state = "ready";
    if (!mask.some((on) => on)) every((x) => x >= w / 2);
    else draw();
  }
  watch("value", sync);
  sync();
}
