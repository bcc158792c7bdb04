// Offsets: the service counts code points and gives UTF-16 pairs beside them; the DOM counts in UTF-16.

/** Give how many UTF-16 units the first `points` code points of a text take. */
export function units(text, points) {
  let at = 0;
  for (let n = 0; n < points && at < text.length; n += 1) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

/** Count how often a character stands before a place. */
export function count(text, character, end) {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0 && at < end; at = text.indexOf(character, at + 1)) found += 1;
  return found;
}

/** Count the code points of a text, however long. */
export function points(text) {
  let found = text.length;
  for (const _ of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) found -= 1;
  return found;
}

/** Cut the sentence of a piece of evidence into what is before the answer, the answer, and what is after it. */
export function parts(evidence) {
  const { text, start } = evidence.sentence;
  const from = units(text, evidence.start - start);
  const to = units(text, evidence.end - start);
  return [text.slice(0, from), text.slice(from, to), text.slice(to)];
}

/** List the lines of a text as [start, end) in UTF-16, without their line ends. */
export function lines(text) {
  const found = [];
  let start = 0;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
    found.push([start, end]);
    start = end + 1;
  }
  if (start < text.length || !found.length) found.push([start, text.length]);
  return found;
}

/** Cut [start, end) where ranges begin and end: [[start, end, numbers of the ranges that hold it]]. */
export function pieces(start, end, ranges) {
  const cuts = new Set([start, end]);
  for (const range of ranges) {
    for (const cut of range) if (start < cut && cut < end) cuts.add(cut);
  }
  const order = [...cuts].sort((a, b) => a - b);
  return order.slice(1).map((to, n) => {
    const from = order[n];
    return [from, to, ranges.flatMap(([a, b], number) => (a < to && from < b ? [number] : []))];
  });
}
