// Answers to take along: links, citations, JSON.

import { at, make } from "./dom.js";
import { date, inWords, number, percent, say } from "./words.js";

/** Say where a piece of evidence stands. */
export function placeOf(evidence) {
  const values = { source: evidence.source, line: number(evidence.line) };
  return evidence.page ? say("place.page", { ...values, page: number(evidence.page) }) : say("place", values);
}

/** Write a citation of an answer at a place of it; without an answer, of there being none. */
export function citation(found, answer, evidence, when) {
  const p = answer ? answer.probability : found.no_answer_probability;
  const values = { question: found.question, model: found.model, date: date(when), words: inWords(p), percent: percent(p) };
  if (!answer || !evidence) return say("citation.absent", values);
  return say("citation", {
    ...values,
    answer: answer.text,
    sentence: evidence.sentence.text.replace(/\s+/g, " "),
    place: placeOf(evidence),
    start: number(evidence.start),
    end: number(evidence.end),
  });
}

/** Write the address of an answer at a place of it. */
export function link(id, evidence) {
  const parts = new URLSearchParams({ a: id });
  if (evidence) parts.set("s", `${evidence.start}-${evidence.end}`);
  if (evidence?.page) parts.set("p", evidence.page);
  const here = new URL(location.href);
  here.hash = parts.toString();
  return here.href;
}

/** Read an address: {id, start, end}, null where it leads to no answer. */
export function linked() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const id = parts.get("a");
  const [, start, end] = /^(\d+)-(\d+)$/.exec(parts.get("s") ?? "") ?? [];
  return id ? { id, start: Number(start), end: Number(end) } : null;
}

/** Copy a text; where the browser does not let us, show it selected. Tells whether it was copied. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // only pages from this machine or over HTTPS may write to the clipboard
  }
  const shown = make("textarea", { id: "copy", rows: 3, readonly: true, "aria-label": say("cite") });
  shown.value = text;
  at("copy")?.remove();
  at("done").after(shown);
  shown.select();
  const copied = document.execCommand("copy");
  if (copied) shown.remove();
  return copied;
}

/** Save an object as a JSON file. */
export function save(object) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(object, null, 1)], { type: "application/json" }));
  make("a", { href: url, download: "puna.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // a download may begin late
}
