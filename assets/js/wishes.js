// What the samples shall show, as a person chooses it from lists: what that is in a label's words, which choices go
// together, and which names a few letters mean. Numbers and texts only.

/** @typedef {{name: string, values: string[], choices: string[], pictures: string[]}} List what can be chosen of one thing */
/** @typedef {Record<string, string>} Chosen by the name of a list: one of its values or of its choices */
/** @typedef {Record<string, number[]>} Follows lists that follow from the first: which value goes with each of its values */
/** @typedef {{turn: string, any: string}} Words of the choices that are no values */

/**
 * A name as people read it.
 * @param {string} name
 */
export const spaced = (name) => name.replaceAll("-", " ");

/** @param {string} text */
const plain = (text) =>
  text
    .toLowerCase()
    .replace(/[-_\s]+/g, " ")
    .trim();

/**
 * How well a name fits what was typed: less is better, null is not at all.
 * @param {string} name
 * @param {string} typed
 */
function rank(name, typed) {
  const at = name.indexOf(typed);
  if (at < 0) return null;
  if (name === typed) return 0;
  if (at === 0) return 1;
  return ` ${name}`.includes(` ${typed}`) ? 2 : 3;
}

/**
 * The names that have the typed letters in them, best first: the name itself, then those that begin with them, or of
 * which a word does; shorter ones first. All, as they come, where nothing is typed.
 * @param {string[]} names
 * @param {string} text
 */
export function find(names, text) {
  const typed = plain(text);
  if (!typed) return [...names];
  return names
    .map((name) => ({ name, at: rank(plain(name), typed) }))
    .filter(({ at }) => at != null)
    .sort((a, b) => Number(a.at) - Number(b.at) || a.name.length - b.name.length)
    .map(({ name }) => name);
}

/**
 * What follows of other lists from what is chosen of the first, by name.
 * @param {List[]} lists
 * @param {Follows} follows
 * @param {Chosen} chosen
 * @returns {Chosen}
 */
export function implied(lists, follows, chosen) {
  const value = lists[0].values.indexOf(chosen[lists[0].name]);
  if (value < 0) return {};
  const others = lists.filter(({ name }) => name in follows);
  return Object.fromEntries(others.map(({ name, values }) => [name, values[follows[name][value]]]));
}

/**
 * After a choice: the others as they were, but for those that cannot stand beside it.
 * @param {List[]} lists
 * @param {Follows} follows
 * @param {Chosen} chosen with the new choice in it
 * @param {string} name of the list it was made in
 * @param {Words} words
 * @returns {Chosen}
 */
export function agreed(lists, follows, chosen, name, words) {
  const next = { ...chosen };
  const first = lists[0].name;
  const said = lists[0].values.includes(next[first]);
  for (const other of Object.keys(follows)) {
    const both = next[first] === words.turn && next[other] === words.turn;
    if (said || (both && name === first)) next[other] = words.any;
    else if (both) next[first] = words.any;
  }
  return next;
}

/**
 * The label that Python reads.
 * @param {List[]} lists
 * @param {Chosen} chosen
 * @param {Words} words
 */
export function labelOf(lists, chosen, words) {
  const [first, ...others] = lists.map(({ name }) => name);
  if (!lists[0].choices.includes(words.any)) return chosen[first]; // one class, or all in turn
  if (chosen[first] === words.turn && others.every((name) => chosen[name] === words.any)) return words.turn;
  const said = [first, ...others].filter((name) => chosen[name] !== words.any);
  return said.map((name) => `${name}=${chosen[name]}`).join(", ") || `${first}=${words.any}`;
}
