// Frames of a trajectory as they come from Python: bytes of x_t, the predicted x_0, eps and z, drawn as a grid or one sample.

const GAP = 2,
  GREY = 128;

/** A run's file: a line of JSON, {shape: [B, H, W, C], planes}, then the bytes of every frame. */
export function open(buffer) {
  const bytes = new Uint8Array(buffer);
  const line = bytes.indexOf(10);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, line)));
  return new Frames(bytes.subarray(line + 1), head.shape, head.planes);
}

export class Frames {
  constructor(bytes, shape, planes) {
    [this.samples, this.height, this.width, this.channels] = shape;
    this.bytes = bytes;
    this.planes = planes;
    this.columns = Math.ceil(Math.sqrt(this.samples));
    this.rows = Math.ceil(this.samples / this.columns);
    this.sample = this.height * this.width * this.channels;
    this.count = bytes.length / (planes * this.samples * this.sample);
  }

  /** Width over height of the whole grid. */
  get aspect() {
    return (this.columns * (this.width + GAP) - GAP) / (this.rows * (this.height + GAP) - GAP);
  }

  /** The sample at a point of the grid, both coordinates from 0 to 1; null if there is none. */
  at(x, y) {
    const column = Math.floor((x * (this.columns * (this.width + GAP) - GAP)) / (this.width + GAP));
    const row = Math.floor((y * (this.rows * (this.height + GAP) - GAP)) / (this.height + GAP));
    const k = row * this.columns + column;
    return column < this.columns && k < this.samples ? k : null;
  }

  /** Draw a plane of frame i: the whole grid, or one sample alone. A plane that there is not is grey. */
  paint(canvas, i, plane, only = null) {
    const { width: w, height: h } = this;
    const columns = only == null ? this.columns : 1,
      rows = only == null ? this.rows : 1;
    const W = columns * (w + GAP) - GAP,
      H = rows * (h + GAP) - GAP;
    if (canvas.width !== W || canvas.height !== H) {
      canvas.width = W;
      canvas.height = H;
    }
    const image = new ImageData(W, H);
    new Uint32Array(image.data.buffer).fill(0xff000000 | (GREY * 0x010101));
    if (plane < this.planes) {
      for (let k = 0; k < (only == null ? this.samples : 1); k++) {
        const from = ((i * this.planes + plane) * this.samples + (only ?? k)) * this.sample;
        this.put(image.data, W, (k % columns) * (w + GAP), Math.floor(k / columns) * (h + GAP), from);
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  put(rgba, W, left, top, from) {
    const { bytes, channels } = this;
    const green = channels === 3 ? 1 : 0,
      blue = channels === 3 ? 2 : 0;
    for (let y = 0; y < this.height; y++) {
      let to = 4 * ((top + y) * W + left);
      for (let x = 0; x < this.width; x++, to += 4, from += channels) {
        rgba[to] = bytes[from];
        rgba[to + 1] = bytes[from + green];
        rgba[to + 2] = bytes[from + blue];
      }
    }
  }
}

/** Frames that came as text. */
export const decode = (base64, shape, planes) =>
  new Frames(
    Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)),
    shape,
    planes,
  );
