/** The part of KaTeX that the page uses. */
declare const katex: {
  render(
    source: string,
    node: HTMLElement,
    options: {
      macros: Record<string, string>;
      throwOnError: boolean;
      trust: (context: { command: string }) => boolean;
      strict: boolean;
      output: "htmlAndMathml";
    },
  ): void;
};
export default katex;
