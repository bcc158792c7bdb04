// The document pane: a text with its places marked, by their stored offsets only.

import { at, button, make, show } from "./dom.js";
import { lines, parts, pieces } from "./places.js";
import { languageOf, number, say } from "./words.js";

const state = { texts: new Map(), places: [], place: 0, open: null, load: null };
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Show texts: Map of name → {text, pages} or null for what is not at hand; `load(name)` fetches one that is not. */
export function open(texts, load = null) {
  Object.assign(state, { texts, places: [], place: 0, open: null, load });
  tabs();
  paint([...texts.keys()][0] ?? null);
  walk();
}

/** Mark these places (evidence) and show one of them; with `focus`, go there. */
export async function mark(places, place = 0, focus = false) {
  state.places = places;
  await go(place, focus);
}

/** Go to the next place, or the previous one; gives its number. */
export async function step(by) {
  await go((state.place + by + state.places.length) % state.places.length, true);
  return state.place;
}

/** Give how many places there are to step through. */
export const count = () => state.places.length;

/** Write what is in the interface's language anew. */
export function relabel() {
  walk();
  if (state.open !== null) paint(state.open);
}

async function go(place, focus) {
  state.place = place;
  const evidence = state.places[place];
  walk();
  if (!evidence) {
    paint(state.open ?? [...state.texts.keys()][0] ?? null);
    return;
  }
  const name = evidence.source;
  if (!state.texts.get(name) && state.load) {
    state.texts.set(name, await state.load(evidence));
    if (state.places[state.place] !== evidence) return; // gone on meanwhile
    tabs();
  }
  paint(name);
  const first = at("paper").querySelector("mark.current");
  if (first) {
    reveal(first);
    if (focus) first.focus({ preventScroll: true });
  } else if (focus) {
    at("paper").focus();
  }
}

/** Scroll the pane, and the page only where the pane is not in view. */
function reveal(element) {
  const paper = at("paper");
  const inside = element.getBoundingClientRect();
  const outside = paper.getBoundingClientRect();
  const behavior = still.matches ? "auto" : "smooth";
  const top = paper.scrollTop + inside.top - outside.top - (paper.clientHeight - inside.height) / 2;
  paper.scrollTo({ top, behavior });
}

/** Bring the pane into view, where it stands below the answer. */
export function approach() {
  const { top, bottom } = at("paper").getBoundingClientRect();
  if (top > innerHeight - 120 || bottom < 120) {
    at("document-title").scrollIntoView({ behavior: still.matches ? "auto" : "smooth" });
  }
}

function walk() {
  const count = state.places.length;
  show(at("walk"), count > 1);
  at("position").textContent = count ? say("position", { place: number(state.place + 1), count }) : "";
}

function tabs() {
  const names = [...state.texts.keys()];
  show(at("tabs"), names.length > 1);
  at("tabs").replaceChildren(...names.map((name) =>
    button(make("bdi", {}, name), () => visit(name), { "aria-pressed": String(name === state.open) })));
}

/** Open a document by its tab: at the first of its places, if it has any. */
async function visit(name) {
  const place = state.places.findIndex((each) => each.source === name);
  if (place >= 0) return go(place, false);
  if (!state.texts.get(name) && state.load) state.texts.set(name, await state.load({ source: name }));
  paint(name);
}

function paint(name) {
  state.open = name;
  const held = name === null ? null : state.texts.get(name);
  const paper = at("paper");
  for (const [n, tab] of [...at("tabs").children].entries()) {
    tab.setAttribute("aria-pressed", String([...state.texts.keys()][n] === name));
  }
  const here = state.places.filter((each) => each.source === name);
  const stale = held && here.some((each) => held.text.slice(...each.utf16) !== parts(each)[1]);
  show(at("note"), !held || stale);
  at("note").textContent = stale ? say("changed") : name === null ? say("nodocument") : say("gone");
  paper.lang = held ? languageOf(held.text) : "";
  paper.replaceChildren(...(held ? write(held, stale ? [] : here) : []));
  show(paper, Boolean(held));
}

/** Make the lines of a text, each with its number and marks, and a heading where a page begins. */
function write({ text, pages = [] }, places) {
  const ranges = places.map((each) => each.utf16);
  const numbers = places.map((each) => state.places.indexOf(each));
  const made = [];
  let page = 0;
  for (const [n, [start, end]] of lines(text).entries()) {
    while (page < pages.length && pages[page] <= start) {
      page += 1;
      made.push(make("p", { class: "page" }, say("page", { page: number(page) })));
    }
    const touching = ranges.some(([from, to]) => from < end && start < to);
    const content = touching ? cut(text, start, end, ranges, numbers) : [text.slice(start, end)];
    made.push(make("div", { class: "line", "data-line": n + 1, dir: "auto" }, ...content));
  }
  return made;
}

function cut(text, start, end, ranges, numbers) {
  return pieces(start, end, ranges).map(([from, to, holding]) => {
    const piece = text.slice(from, to);
    if (!holding.length) return piece;
    const first = holding.find((each) => ranges[each][0] === from);
    const last = holding.find((each) => ranges[each][1] === to);
    const now = holding.some((each) => numbers[each] === state.place);
    return make("mark", {
      class: now ? "current" : null,
      id: first === undefined ? null : `place-${numbers[first] + 1}`,
      tabindex: first === undefined ? null : "-1",
      // Read out by the stylesheet, so that the document's own text stays as it is.
      "data-start": first === undefined ? null : say("mark.start"),
      "data-end": last === undefined ? null : say("mark.end"),
    }, piece);
  });
}
