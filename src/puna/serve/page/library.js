// The service's library: its documents, and whether to ask it.

import * as api from "./api.js";
import { at, button, make, show } from "./dom.js";
import { say } from "./words.js";

let documents = null; // of the service; null where it has no library
let failed = () => {};

/** Begin, with a library or without; `complain(error)` says what goes wrong later. */
export async function start(there, complain) {
  failed = complain;
  documents = there ? await api.documents() : null;
  show(at("scope"), documents !== null);
  for (const radio of at("scope").querySelectorAll("input")) radio.onchange = turn;
  turn();
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
    documents = await api.documents();
  } catch (error) {
    failed(error);
  }
  list();
  at("add").focus();
}

/** Add files; gives the keys and values of what is to be said about those that were refused. */
export async function add(files) {
  const said = [];
  for (const file of files) {
    at("adding").textContent = say("documents.adding", { name: file.name });
    try {
      await api.upload(file);
    } catch (error) {
      if (!(error instanceof api.Problem) || !error.message || error.kind !== "said") {
        failed(error);
        break;
      }
      said.push(["error.coded", { message: `${file.name}: ${error.message}`, code: error.code }]);
    }
  }
  documents = await api.documents();
  at("adding").textContent = documents.length ? say("documents.added", { count: documents.length }) : "";
  list();
  return said;
}

/** Fetch the text of the document that a piece of evidence stands in: {text, pages}; null where it is gone. */
export async function load({ source }) {
  const held = documents?.find(({ name }) => name === source);
  return held ? api.text(held.id) : null;
}
