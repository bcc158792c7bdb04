// The answer: verdict, answer, how sure, quote, all answers, what was read, what is proven.

import { placeOf } from "./cite.js";
import { at, button, draw, make, show } from "./dom.js";
import { parts } from "./places.js";
import { inWords, languageOf, number, percent, say, sure } from "./words.js";

const AROUND = 240; // characters of a sentence shown on either side of an answer

// Shapes, so that colour is never alone: a tick, a question mark, an empty ring.
const ICONS = {
  answered: "M5 13l4.5 4.5L19 7.5",
  unsure: "M8.5 9a3.5 3.5 0 1 1 5 3.2c-1 .5-1.5 1.1-1.5 2.3M12 18.3v.2",
  absent: "M5.6 18.4 18.4 5.6M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18",
};

/** Judge an answer as `puna ask` does: "answered", "unsure" or "absent". */
export function verdict(found) {
  const [best] = found.answers;
  if (!best) return "absent";
  if (found.threshold !== null && found.threshold !== undefined) {
    if (best.probability >= found.threshold) return "answered";
    return found.no_answer_probability > 0.5 ? "absent" : "unsure";
  }
  if (found.no_answer_probability > 0.5) return "absent";
  return best.probability >= 0.5 ? "answered" : "unsure";
}

/** Say the verdict in a sentence, for those who hear the page. */
export function spoken(found) {
  const kind = verdict(found);
  const probability = kind === "absent" ? found.no_answer_probability : found.answers[0].probability;
  return say(`say.${kind}`, {
    answer: found.answers[0]?.text,
    words: inWords(probability),
    percent: percent(probability),
  });
}

/** Write an answer into the page. `on`: what happens at {choose(n), visit(n, place), link, cite, json, print}. */
export function render({ found, texts, own }, chosen, on) {
  const kind = verdict(found);
  const [best] = found.answers;
  const absent = kind === "absent";
  at("result").replaceChildren(
    make("p", { class: "asked" }, make("bdi", { lang: languageOf(found.question) }, found.question)),
    make("div", { class: `verdict ${kind}` },
      draw("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, draw("path", { d: ICONS[kind] })),
      make("h2", { id: "verdict" }, say(`verdict.${kind}`))),
    absent ? make("p", {}, say("about.absent")) : "",
    best && !absent ? make("p", { class: "answer", lang: languageOf(best.text) }, make("bdi", {}, best.text)) : "",
    kind === "unsure" ? make("p", {}, say("about.unsure")) : "",
    make("dl", { class: "numbers" },
      ...(absent
        ? figure(say("number.absent"), found.no_answer_probability)
        : [...figure(say("number.found"), 1 - found.no_answer_probability), ...figure(say("number.answer"), best.probability)])),
    make("p", { class: "more" }, make("a", { href: "#numbers", on: { click: on.numbers } }, say("help"))),
    best && !absent ? quote(best, (place) => on.visit(0, place)) : "",
    best && !absent ? wordings(best) : "",
    make("h3", {}, say(absent ? "ranked.absent" : "ranked")),
    make("ol", { class: "ranked" }, ...ranked(found, chosen, absent, on)),
    make("h3", {}, say("read")),
    make("p", {}, reading(found, texts)),
    found.threshold === null || found.threshold === undefined
      ? "" : make("p", {}, say("threshold", { percent: percent(found.threshold) })),
    make("h3", {}, say("proof")),
    ...proof(found, own).map((sentence) => make("p", {}, sentence)),
    make("div", { class: "row actions" },
      on.link ? button(say("link"), on.link) : "",
      button(say("cite"), on.cite), button(say("json"), on.json), button(say("print"), on.print)),
    make("p", { id: "done", class: "hint", role: "status" }),
  );
  show(at("result"));
}

function bar(probability) {
  const filled = make("span", {});
  filled.style.inlineSize = `${(100 * probability).toFixed(1)}%`;
  return make("span", { class: "gauge", "aria-hidden": "true" }, filled);
}

const figure = (name, probability) => [
  make("div", {}, make("dt", {}, name), make("dd", {}, make("span", {}, sure(probability)), bar(probability))),
];

const shortened = (before, after) => [
  before.length > AROUND ? `…${before.slice(-AROUND)}` : before,
  after.length > AROUND ? `${after.slice(0, AROUND)}…` : after,
];

/** A quote with its place; `visit(place)` goes there. */
function quote(answer, visit) {
  const [first] = answer.evidence;
  if (!first) return make("p", { class: "hint" }, say("place.none"));
  const [before, held, after] = parts(first);
  const [left, right] = shortened(before, after);
  const others = answer.evidence.length - 1;
  return make("figure", { class: "quote" },
    make("blockquote", { lang: languageOf(first.sentence.text), dir: "auto" }, left, make("mark", {}, held), right),
    make("figcaption", {},
      make("bdi", {}, placeOf(first)),
      others ? make("span", {}, say("place.other", { count: others })) : null,
      button(say("place.show"), () => visit(0), { class: "place" }),
      first.headings?.length ? make("span", { class: "hint" }, say("place.headings", { headings: first.headings.join(say("path")) })) : null));
}

function wordings({ variants }) {
  if (!variants.length) return "";
  return make("p", { class: "hint" },
    say("wordings", { wordings: variants.map(({ text }) => text).join(say("separator")) }));
}

function ranked(found, chosen, absent, on) {
  const rows = found.answers.map((answer, n) => {
    const open = n === chosen && (absent || n > 0);
    return make("li", { class: n === chosen ? "chosen" : null },
      button(row(answer.text, answer.probability, absent), () => on.choose(n), {
        class: "choice",
        "aria-pressed": String(n === chosen),
      }),
      open ? quote(answer, (place) => on.visit(n, place)) : null);
  });
  return [...rows, make("li", { class: "none" }, row(say("none"), found.no_answer_probability, false))];
}

const row = (text, probability, tagged) => make("span", { class: "entry" },
  make("bdi", { class: "name", lang: languageOf(text) }, text),
  tagged ? make("span", { class: "tag" }, say("notanswer")) : null,
  make("span", { class: "sure" }, sure(probability)),
  bar(probability));

/** Say what was read: texts are read one after the other, so that all before the last were read whole. */
function reading({ coverage, elapsed_ms, model, passages }, texts) {
  const values = {
    percent: percent(coverage.characters ? coverage.read / coverage.characters : 0),
    characters: say("size", { count: coverage.characters }),
    windows: say("read.windows", { count: coverage.windows }),
    seconds: number(elapsed_ms / 1000, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    model,
  };
  if (passages) return say("read.library", { ...values, passages: say("documents.passages", { count: passages.length }) });
  let left = coverage.read;
  const whole = texts.filter(({ size }) => (left -= size) >= 0).length;
  return say("read.all", { ...values, texts: say("read.texts", { read: number(whole), count: texts.length }) });
}

function proof({ certificate }, own) {
  if (own || !certificate) return [say("proof.own")];
  const every = certificate.found + certificate.unvisited;
  const missed = every ? certificate.unvisited / every : 0;
  return [
    certificate.exact ? say("proof.exact") : say("proof.bounded", { missed: percent(missed) }),
    say("proof.outside", { outside: percent(certificate.outside) }),
  ];
}
