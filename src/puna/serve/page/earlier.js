// The list of earlier questions.

import { at, button, make, show } from "./dom.js";
import { entries } from "./history.js";
import { verdict } from "./result.js";
import { date, languageOf, say } from "./words.js";

/** Write the list; `restore(entry)` opens one. */
export function list(restore) {
  const all = entries();
  at("earlier").replaceChildren(...all.map((entry) => make("li", {},
    button(make("bdi", { lang: languageOf(entry.answers.question) }, entry.answers.question), () => restore(entry), { class: "earlier" }),
    make("span", { class: "hint" }, say("history.when", {
      answer: verdict(entry.answers) === "absent" ? say("none") : entry.answers.answers[0].text,
      date: date(entry.when),
    })))));
  show(at("earlier-none"), !all.length);
  show(at("clear"), all.length > 0);
}
