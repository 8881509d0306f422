/** The parts of Plotly that the page uses. */

interface PlotlyAxis {
  range: [number, number];
  showticklabels?: boolean;
  title: { text: string };
  type?: string;
  dtick?: number;
  _offset: number;
  _length: number;
  /** From data to pixels, and back. */
  d2p(value: number): number;
  p2d(pixel: number): number;
}

interface PlotlyStyle {
  color?: string;
  width?: number;
  dash?: string;
  [name: string]: unknown;
}

/** Which columns a trace shows, and what else ui/figures.py says of it. */
interface TraceMeta {
  x: string;
  y: string;
  error?: string;
  main?: boolean;
  loss?: string;
  own?: string;
}

interface PlotlyTrace {
  meta: TraceMeta;
  mode: string;
  line: PlotlyStyle;
  name?: string;
  visible?: boolean;
  xaxis?: string;
  yaxis?: string;
  error_y?: PlotlyStyle;
  [name: string]: unknown;
}

interface PlotlyLayout {
  height: number;
  /** How axes get their ranges, by the name of a curve: see ui/figures.py. */
  meta?: Record<string, { axis: string; range: "unit" | "decades" | "fives" | "zero" }>;
  uirevision?: string;
  font?: object;
  annotations?: { font?: object }[];
  [name: string]: unknown;
}

interface PlotlyFigure {
  data: PlotlyTrace[];
  layout: PlotlyLayout;
}

interface PlotlyElement extends HTMLElement {
  _fullLayout: Record<string, PlotlyAxis>;
  on(event: string, fn: () => void): void;
}

interface PlotlyLibrary {
  react(node: HTMLElement, data: object[], layout: object, config: object): Promise<PlotlyElement>;
  relayout(node: HTMLElement, changes: object): Promise<PlotlyElement>;
  downloadImage(figure: { data: object[]; layout: object }, options: object): Promise<string>;
}

interface Window {
  Plotly: PlotlyLibrary;
}
