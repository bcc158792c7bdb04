// The document pane: a text with its places marked, by their stored offsets only.

import { at, button, make, show } from "./dom.js";
import { lines, parts, pieces } from "./places.js";
import { languageOf, number, say } from "./words.js";

// views: of each text by its name, the piece of it that is shown; null where the text is not to be had.
const state = { texts: new Map(), views: new Map(), places: [], place: 0, open: null, load: null, failed: null };
const still = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Show texts: Map of name → `whole` text, or null for what is not at hand. `load(name)`: gives one that is `remote`;
 * `failed(error)`: is told where that does not work.
 */
export function open(texts, load, failed) {
  Object.assign(state, { texts, views: new Map(), places: [], place: 0, open: null, load, failed });
  tabs();
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
  const name = evidence?.source ?? state.open ?? [...state.texts.keys()][0] ?? null;
  if (!(await look(name, evidence)) || state.places[state.place] !== evidence) return; // gone on meanwhile
  paint(name);
  if (!evidence) return;
  const first = at("paper").querySelector("mark.current");
  if (first) {
    reveal(first);
    if (focus) first.focus({ preventScroll: true });
  } else if (focus) {
    at("paper").focus();
  }
}

/** Have the view of a text that a place is in, or any; tells whether the same texts are open still. */
async function look(name, evidence) {
  const { texts, views } = state;
  if (name === null || (views.get(name) && (!evidence || inside(views.get(name), evidence)))) return true;
  try {
    if (!texts.get(name) && state.load) texts.set(name, await state.load(name));
    views.set(name, (await texts.get(name)?.at(evidence)) ?? null);
  } catch (error) {
    state.failed(error);
    return false;
  }
  return texts === state.texts;
}

const inside = ({ from, text }, { utf16: [start, end] }) => from <= start && end <= from + text.length;

/** Show what stands before a view, or behind it. */
async function turn(name, way) {
  const { texts, views } = state;
  try {
    views.set(name, await texts.get(name)[way](views.get(name)));
  } catch (error) {
    state.failed(error);
    return;
  }
  if (texts !== state.texts) return;
  paint(name);
  at("paper").scrollTo({ top: way === "before" ? at("paper").scrollHeight : 0 });
  at("paper").focus();
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
  show(at("tabs"), names.length > 1 || Boolean(state.load && names.length)); // a library's documents are told by name
  at("tabs").replaceChildren(...names.map((name) =>
    button(make("bdi", {}, name), () => visit(name), { "aria-pressed": String(name === state.open) })));
}

/** Open a document by its tab: at the first of its places, if it has any. */
async function visit(name) {
  const place = state.places.findIndex((each) => each.source === name);
  if (place >= 0) return go(place, false);
  if (await look(name)) paint(name);
}

function paint(name) {
  state.open = name;
  const view = state.views.get(name) ?? null;
  const paper = at("paper");
  for (const [n, tab] of [...at("tabs").children].entries()) {
    tab.setAttribute("aria-pressed", String([...state.texts.keys()][n] === name));
  }
  const here = view ? state.places.filter((each) => each.source === name && inside(view, each)) : [];
  const lost = view && state.places[state.place]?.source === name && !here.length;
  const stale = lost || here.some(({ utf16, ...each }) => view.text.slice(...utf16.map((n) => n - view.from)) !== parts(each)[1]);
  show(at("note"), !view || stale);
  at("note").textContent = stale ? say("changed") : name === null ? say("nodocument") : say(state.load ? "removed" : "gone");
  paper.lang = view ? languageOf(view.text) : "";
  paper.replaceChildren(...(view ? write(name, view, stale ? [] : here) : []));
  show(paper, Boolean(view));
}

/** Make the lines of a view, each with its number and marks, and a heading where a page begins. */
function write(name, { text, from, line, pages, before, after }, places) {
  const ranges = places.map(({ utf16 }) => utf16.map((n) => n - from));
  const numbers = places.map((each) => state.places.indexOf(each));
  const made = before ? [button(say("view.before"), () => turn(name, "before"), { class: "piece" })] : [];
  let page = 0;
  for (const [n, [start, end]] of lines(text).entries()) {
    for (; page < pages.length && pages[page][0] - from <= start; page += 1) {
      made.push(make("p", { class: "page" }, say("page", { page: number(pages[page][1]) })));
    }
    const touching = ranges.some(([first, last]) => first < end && start < last);
    const content = touching ? cut(text, start, end, ranges, numbers) : [text.slice(start, end)];
    made.push(make("div", { class: "line", "data-line": line + n, dir: "auto" }, ...content));
  }
  if (after) made.push(button(say("view.after"), () => turn(name, "after"), { class: "piece" }));
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
