// Texts as the pane shows them: in views, pieces so small that no browser hangs, whatever the length of the text.

import { excerpt } from "./api.js";
import { count, units } from "./places.js";

const SIZE = 100_000; // of a view: UTF-16 units of a text at hand, code points of a document

/*
 * A view is {text, from, line, pages, start, end, before, after}: `from` and `line` are of its beginning in the whole text,
 * in UTF-16 and from 1; `pages` are [UTF-16 offset in the whole text, number of the page]; `start` and `end` are its own
 * counting, by which the view before it and behind it are found; `before` and `after` tell whether there are any.
 */

/** A text that is at hand. */
export function whole(text) {
  const view = (wanted) => {
    let start = Math.max(0, wanted);
    const line = start && text.lastIndexOf("\n", start - 1) + 1;
    if (start - line < SIZE / 4) start = line;
    if (isLow(text, start)) start -= 1;
    let end = Math.min(text.length, start + SIZE);
    if (isLow(text, end)) end -= 1;
    return {
      text: text.slice(start, end), from: start, line: 1 + count(text, "\n", start), pages: [],
      start, end, before: start > 0, after: end < text.length,
    };
  };
  return around(view, ({ utf16: [start] }) => start);
}

/** A document of the library, of which pieces are fetched; a view is null where it is there no longer. */
export function remote(id) {
  return around(async (wanted) => {
    const start = Math.max(0, wanted);
    const found = await excerpt(id, start, start + SIZE);
    if (!found) return null;
    const { text, utf16, line, page, pages, end, characters } = found;
    const marks = page === null ? [] : [[utf16, page]];
    let [point, unit] = [start, 0];
    for (const [n, each] of pages.entries()) {
      if (each <= start || each >= end) continue;
      unit += units(text.slice(unit), each - point);
      point = each;
      marks.push([utf16 + unit, n + 1]);
    }
    return { text, from: utf16, line, pages: marks, start, end, before: start > 0, after: end < characters };
  }, ({ start }) => start);
}

const isLow = (text, at) => at < text.length && (text.charCodeAt(at) & 0xfc00) === 0xdc00;

const around = (view, place) => ({
  /** Give the view around a place (evidence), or that at the beginning. */
  at: (evidence) => view(evidence ? place(evidence) - SIZE / 2 : 0),
  /** Give the view before another. */
  before: ({ start }) => view(start - SIZE),
  /** Give the view behind another. */
  after: ({ end }) => view(end),
});
