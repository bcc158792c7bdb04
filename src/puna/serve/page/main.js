// The page: what happens when.

import * as api from "./api.js";
import { citation, copy, link, linked, save } from "./cite.js";
import * as pane from "./document.js";
import { at, show } from "./dom.js";
import * as earlier from "./earlier.js";
import * as kept from "./history.js";
import * as library from "./library.js";
import { explain } from "./measured.js";
import { points } from "./places.js";
import { render, spoken, verdict } from "./result.js";
import * as sources from "./sources.js";
import { whole } from "./texts.js";
import { current, number, percent, preferred, remember, say, speak } from "./words.js";

let answer = null; // {found, texts: [{name, size}], own, id, when}; null before the first
let chosen = 0; // which of the answers
let place = 0; // which of its places
let calibration = null;
let problem = null; // () => the sentence of what is wrong
let asking = null; // the request under way

const announce = (sentence) => (at("status").textContent = sentence);

function complain(sentence) {
  problem = sentence;
  show(at("problem"), Boolean(sentence));
  at("problem").textContent = sentence?.() ?? "";
}

function explained(error) {
  const { kind, code, message, hint, status, seconds } = error;
  if (kind === "network") return () => say("error.network");
  if (kind === "busy") return () => say("error.busy", { seconds: number(seconds) });
  if (kind === "server") return () => say("error.server", { status });
  const whole = hint ? `${message} — ${hint}` : message;
  return () => (whole ? say("error.coded", { message: whole, code }) : say("error.server", { status }));
}

/** Say what went wrong; what is no known problem is a bug, and goes to the console as well. */
function failed(error) {
  if (!(error instanceof api.Problem)) throw error;
  if (error.kind === "key") {
    show(at("unlock"));
    at("key").focus();
  }
  complain(explained(error));
}

function candidates() {
  const lines = at("candidates").value.split("\n").map((line) => line.trim()).filter(Boolean);
  return [...new Set(lines)];
}

async function ask() {
  complain(null);
  const question = at("question").value.trim();
  const fromLibrary = library.chosen();
  const texts = fromLibrary ? null : sources.texts();
  if (!question) return missing("error.question", "question");
  if (texts && !texts.length) return missing("error.text", "text");
  if (fromLibrary && library.empty()) return missing("error.library", "add");
  const own = candidates();
  const request = { question, texts, candidates: own, top: Number(at("top").value) || 5, exact: at("exact").checked };
  asking?.abort();
  const mine = (asking = new AbortController());
  const began = Date.now();
  const clock = setInterval(() => {
    at("seconds").textContent = say("reading.seconds", { seconds: number(Math.round((Date.now() - began) / 1000)) });
  }, 1000);
  busy(true);
  announce(say("reading"));
  try {
    const found = await api.ask(request, { signal: mine.signal, language: current() });
    accept(found, texts, own);
  } catch (error) {
    if (error.name === "AbortError") {
      if (asking === mine) announce(say("stopped"));
    } else {
      announce("");
      failed(error);
    }
  } finally {
    clearInterval(clock);
    if (asking === mine) busy(false);
  }
}

function missing(key, field) {
  complain(() => say(key));
  if (field !== "question") edit(true);
  at(field).focus();
}

function busy(now) {
  if (!now) asking = null;
  for (const id of ["stop", "seconds", "working"]) show(at(id), now);
  at("seconds").textContent = now ? say("reading") : "";
  at("ask").setAttribute("aria-busy", String(now));
}

function accept(found, texts, own) {
  const id = kept.add({ answers: found, texts, candidates: own });
  open({ id, when: Date.now(), answers: found, texts, candidates: own });
  earlier.list(restore);
  announce(spoken(found));
}

/** Open an answer: one that has just come, or an earlier one. */
function open({ id, when, answers: found, texts, candidates: own }) {
  const sizes = (texts ?? []).map(({ name, text }) => ({ name, size: text === null ? Infinity : points(text) }));
  answer = { found, texts: sizes, own: own.length > 0, id, when };
  [chosen, place] = [verdict(found) === "absent" ? -1 : 0, 0]; // where there is no answer, no place is passed off as one
  const held = new Map((texts ?? []).map(({ name, text }) => [name, text === null ? null : whole(text)]));
  if (!texts) for (const name of sourcesOf(found)) held.set(name, null);
  pane.open(held, texts ? null : library.load, failed);
  at("edit").dataset.word = texts ? "edit" : "edit.library";
  at("edit").textContent = say(at("edit").dataset.word);
  edit(false);
  paint();
  pane.mark(found.answers[chosen]?.evidence ?? []);
  address();
}

const sourcesOf = ({ answers }) => new Set(answers.flatMap(({ evidence }) => evidence.map(({ source }) => source)));

function address() {
  if (answer?.id) history.replaceState(null, "", link(answer.id, answer.found.answers[chosen]?.evidence[place]));
}

const actions = {
  choose(n) {
    [chosen, place] = [n, 0];
    paint();
    at("result").querySelectorAll(".choice")[n].focus();
    pane.mark(answer.found.answers[n].evidence);
    address();
  },
  visit(n, which) {
    if (n !== chosen) [chosen, place] = [n, which];
    edit(false);
    pane.mark(answer.found.answers[n].evidence, which, true);
    pane.approach();
    address();
  },
  numbers: () => (at("numbers").open = true),
  link: () => told(link(answer.id, answer.found.answers[chosen]?.evidence[place]), "copied.link"),
  cite() {
    const cited = verdict(answer.found) === "absent" ? null : answer.found.answers[chosen];
    return told(citation(answer.found, cited, cited?.evidence[place], answer.when), "copied.cite");
  },
  json: () => save(answer.found),
  print: () => print(),
};

async function told(text, key) {
  at("done").textContent = say((await copy(text)) ? key : "copied.not");
}

function paint() {
  if (answer) {
    const { found, texts, own, id } = answer;
    render({ found, texts, own }, chosen, { ...actions, link: id ? actions.link : null });
  }
  explain(calibration, answer?.own ? null : (answer?.found.answers[0]?.probability ?? null));
}

/** Show the text for change, or the marked one. */
function edit(now) {
  show(at("entry"), now || !answer);
  show(at("shown"), !now && Boolean(answer));
  show(at("edit"), !now && Boolean(answer));
  show(at("view"), now && Boolean(answer));
  show(at("back"), !now && Boolean(answer));
  show(at("walk"), !now && pane.count() > 1);
}

function restore(entry) {
  complain(null);
  at("question").value = entry.answers.question;
  at("candidates").value = entry.candidates.join("\n");
  if (entry.texts) sources.put(entry.texts.filter(({ text }) => text !== null));
  library.choose(!entry.texts);
  open(entry);
}

/** Open the answer that the address names, at its place. */
function follow() {
  const wanted = linked();
  if (!wanted || wanted.id === answer?.id) return;
  const entry = kept.entry(wanted.id);
  if (!entry) {
    complain(() => say("history.unknown"));
    return;
  }
  restore(entry);
  for (const [n, { evidence }] of answer.found.answers.entries()) {
    const which = evidence.findIndex(({ start, end }) => start === wanted.start && end === wanted.end);
    if (which < 0) continue;
    [chosen, place] = [n, which];
    paint();
    pane.mark(evidence, which);
    break;
  }
  address();
}

async function take(files) {
  complain(null);
  edit(true);
  // A file that is no text can be read by a library only; where there is one, it goes there.
  if (library.there() && !library.chosen()) library.choose(!(await sources.readable(files).catch(() => true)));
  const said = library.chosen() ? await library.add(files) : await sources.take(files);
  if (said.length) complain(() => said.map(([key, values]) => say(key, values)).join("\n"));
}

async function step(by) {
  place = await pane.step(by);
  address();
}

function keys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select") || !event.target.closest("#result, .right")) return;
  if (!["n", "p"].includes(event.key) || !pane.count() || at("shown").hidden) return;
  event.preventDefault();
  step(event.key === "n" ? 1 : -1);
}

function enter(event) {
  // While an input method composes, Enter takes its suggestion; Safari tells that by the code 229 only.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  at("ask").requestSubmit();
}

async function change(language) {
  await speak(language);
  sources.listFiles();
  library.list();
  earlier.list(restore);
  pane.relabel();
  paint();
  complain(problem);
}

function listen() {
  const on = (id, event, listener) => at(id).addEventListener(event, listener);
  on("ask", "submit", (event) => (event.preventDefault(), ask()));
  on("question", "keydown", enter);
  on("stop", "click", () => asking?.abort());
  on("example", "click", () => {
    at("question").value = say("example.question");
    at("candidates").value = "";
    library.choose(false);
    sources.put([{ name: say("example.name"), text: say("example.text") }]);
    edit(true);
    at("question").focus();
  });
  on("edit", "click", () => (edit(true), at("text").focus()));
  on("view", "click", () => (edit(false), at("paper").focus()));
  on("back", "click", (event) => {
    event.preventDefault();
    at("result").focus();
    at("result").scrollIntoView();
  });
  on("previous", "click", () => step(-1));
  on("next", "click", () => step(1));
  for (const id of ["choose", "add"]) on(id, "click", () => at("picker").click());
  on("picker", "change", async () => {
    await take([...at("picker").files]);
    at("picker").value = "";
  });
  on("unlock", "submit", async (event) => {
    event.preventDefault();
    api.unlock(at("key").value.trim());
    show(at("unlock"), false);
    complain(null);
    await start();
    if (at("question").value.trim()) at("ask").requestSubmit();
  });
  on("keep", "change", () => kept.keep(at("keep").checked));
  on("clear", "click", () => {
    kept.clear();
    earlier.list(restore);
    announce(say("history.cleared"));
  });
  for (const each of document.querySelectorAll("[data-language]")) {
    each.addEventListener("click", () => {
      remember(each.dataset.language);
      change(each.dataset.language);
    });
  }
  const right = document.querySelector(".right");
  for (const event of ["dragenter", "dragover", "drop", "dragleave"]) {
    document.addEventListener(event, (dropped) => {
      dropped.preventDefault(); // else a file that misses would replace the page
      right.classList.toggle("over", event === "dragenter" || event === "dragover");
      if (event === "drop" && dropped.dataTransfer.files.length) take([...dropped.dataTransfer.files]);
    });
  }
  document.addEventListener("keydown", keys);
  addEventListener("hashchange", follow);
}

/** Ask the service what it has: a library, and a measurement of its model. */
async function start() {
  try {
    const has = await api.about();
    calibration = has.calibration;
    await library.start(has.library, failed);
  } catch (error) {
    failed(error);
  }
  paint();
}

at("keep").checked = kept.keeps();
listen();
await change(preferred());
await start();
follow();
