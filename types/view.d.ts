/** What Gradio hands to the `mount` of a view: its properties, news of them, and its functions in Python. */
interface LabView<Props, Server = null> {
  props: Props;
  watch(name: keyof Props & string, fn: () => void): void;
  /** Tells what listens to it in Python. */
  trigger(event: "input"): void;
  server: Server;
}
