// The service's library: its documents, and whether to ask it.

import * as api from "./api.js";
import { at, button, make, show } from "./dom.js";
import { remote } from "./texts.js";
import { current, number, say } from "./words.js";

let documents = null; // of the service, as far as they are listed; null where it has no library
let more = false; // whether there are more
let adding = null; // what ends the upload under way
let failed = () => {};

/** Begin, with a library or without; `complain(error)` says what goes wrong later. */
export async function start(there, complain) {
  failed = complain;
  documents = null;
  if (there) await refresh();
  show(at("scope"), documents !== null);
  at("more").onclick = append;
  at("unadd").onclick = () => adding?.abort();
  for (const radio of at("scope").querySelectorAll("input")) radio.onchange = turn;
  turn();
  list();
}

async function refresh() {
  ({ data: documents, has_more: more } = await api.documents());
}

async function append() {
  try {
    const { data, has_more } = await api.documents(documents.length);
    [documents, more] = [[...documents, ...data], has_more];
  } catch (error) {
    failed(error);
  }
  list();
}

/** Tell whether there is one. */
export const there = () => documents !== null;

/** Tell whether questions go to the library. */
export const chosen = () => there() && at("scope").querySelector("input[value=library]").checked;

/** Send questions to the library, or to the texts given. */
export function choose(library) {
  at("scope").querySelector(`input[value=${library && there() ? "library" : "text"}]`).checked = true;
  turn();
}

/** Tell whether nothing is in it. */
export const empty = () => !documents?.length;

function turn() {
  show(at("library"), chosen());
  show(at("own"), !chosen());
}

/** Write the list of documents. */
export function list() {
  show(at("documents-none"), empty());
  show(at("more"), more);
  at("documents").replaceChildren(...(documents ?? []).map((each) => make("li", {},
    make("bdi", { class: "name" }, each.name),
    make("span", { class: "hint" }, say("size", { count: each.characters })),
    button("×", (event) => doubt(event.currentTarget.parentElement, each), { "aria-label": say("documents.delete", { name: each.name }) }))));
}

/** Ask in the row itself whether a document is to go. */
function doubt(row, each) {
  const stay = button(say("documents.keep"), () => (list(), at("add").focus()));
  row.replaceChildren(make("span", { class: "name" }, say("documents.sure", { name: each.name })),
    button(say("documents.yes"), () => remove(each)), stay);
  stay.focus();
}

async function remove(each) {
  try {
    await api.remove(each.id);
    await refresh();
  } catch (error) {
    failed(error);
  }
  list();
  at("add").focus();
}

/** Add files; gives the keys and values of what is to be said about those that were refused. */
export async function add(files) {
  const said = [];
  const mine = (adding = new AbortController());
  show(at("unadd"));
  at("library").setAttribute("aria-busy", "true");
  for (const file of files) {
    const began = Date.now();
    const tell = () => (at("adding").textContent = say("documents.adding", { name: file.name, seconds: number(Math.round((Date.now() - began) / 1000)) }));
    tell();
    const clock = setInterval(tell, 1000);
    try {
      await patiently(() => api.upload(file, { signal: mine.signal, language: current() }), mine.signal);
    } catch (error) {
      if (error.name === "AbortError") {
        said.push(["documents.cancelled", { name: file.name }]);
        break;
      }
      if (!(error instanceof api.Problem) || error.kind !== "said") {
        failed(error);
        break;
      }
      const named = error.message.includes(file.name) ? error.message : `${file.name}: ${error.message}`;
      said.push(["error.coded", { message: named, code: error.code }]);
    } finally {
      clearInterval(clock);
    }
  }
  adding = null;
  show(at("unadd"), false);
  at("library").removeAttribute("aria-busy");
  at("adding").textContent = "";
  try {
    await refresh();
    at("adding").textContent = documents.length && !more ? say("documents.added", { count: documents.length }) : "";
  } catch (error) {
    failed(error);
  }
  list();
  return said;
}

/** Try again as long as the service is busy. */
async function patiently(attempt, signal) {
  while (true) {
    try {
      return await attempt();
    } catch (error) {
      if (error.kind !== "busy") throw error;
      await new Promise((done) => setTimeout(done, error.seconds * 1000));
      signal.throwIfAborted();
    }
  }
}

/** Find the document of a name; null where it is gone. */
export async function load(name) {
  const held = documents?.find((each) => each.name === name) ?? (await api.named(name));
  return held ? remote(held.id) : null;
}
