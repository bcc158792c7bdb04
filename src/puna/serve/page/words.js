// The interface's languages: which one, its sentences, its numbers and dates.

const LANGUAGES = ["en", "zh"];
const SAVED = "puna.language";
const LOCALES = { en: "en", zh: "zh-Hans" };

let language = "en";
let table = {};

const known = (value) => LANGUAGES.find((each) => (value ?? "").toLowerCase().split("-")[0] === each);

function saved() {
  try {
    return localStorage.getItem(SAVED);
  } catch {
    return null; // storage may be forbidden
  }
}

/** Choose the language: `?lang=`, then the saved choice, then the browser's. */
export function preferred() {
  const asked = new URLSearchParams(location.search).get("lang");
  return known(asked) ?? known(saved()) ?? navigator.languages.map(known).find(Boolean) ?? "en";
}

/** Load a language's sentences and put them into the page. */
export async function speak(chosen) {
  const answer = await fetch(`words.${chosen}.json`);
  if (!answer.ok) throw new Error(`words.${chosen}.json: ${answer.status}`);
  table = await answer.json();
  language = chosen;
  document.documentElement.lang = LOCALES[chosen];
  document.title = say("title");
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = say(each.dataset.word);
  for (const each of document.querySelectorAll("[data-label]")) each.setAttribute("aria-label", say(each.dataset.label));
  for (const each of document.querySelectorAll("[data-language]")) {
    each.setAttribute("aria-pressed", each.dataset.language === chosen);
  }
}

/** Keep a choice of language, here and in the address if it stands there. */
export function remember(chosen) {
  try {
    localStorage.setItem(SAVED, chosen);
  } catch {
    // the choice then holds for this visit
  }
  const here = new URL(location.href);
  if (here.searchParams.has("lang")) {
    here.searchParams.set("lang", chosen);
    history.replaceState(null, "", here);
  }
}

/** Give the interface's language, "en" or "zh". */
export const current = () => language;

/** Give a sentence, its `{places}` filled; a `count` chooses between singular and plural. */
export function say(key, values = {}) {
  const one = key in table ? key : `${key}.${new Intl.PluralRules(LOCALES[language]).select(values.count) === "one" ? "one" : "other"}`;
  const filled = { ...values };
  if ("count" in filled) filled.count = number(filled.count);
  return table[one].replace(/\{(\w+)\}/g, (whole, name) => filled[name]);
}

/** Write a number as the language does. */
export const number = (value, options = {}) => new Intl.NumberFormat(LOCALES[language], options).format(value);

/** Write a probability in percent; what is neither 0 nor 1 is never written so. */
export function percent(value) {
  const style = { style: "percent" };
  if (value > 0 && value < 0.005) return `<${number(0.01, style)}`;
  if (value < 1 && value >= 0.995) return `>${number(0.99, style)}`;
  return number(value, style);
}

/** Write a moment in the reader's own time zone. */
export const date = (moment) =>
  new Intl.DateTimeFormat(LOCALES[language], { dateStyle: "long", timeStyle: "short" }).format(moment);

// Bounds and words as the IPCC's guidance on uncertainty has them (Mastrandrea et al. 2010).
const SCALE = [[0.99, "certain"], [0.9, "verylikely"], [0.66, "likely"], [0.33, "even"], [0.1, "unlikely"], [0.01, "veryunlikely"]];

/** Put a probability in words, as it is written in percent. */
export function inWords(value) {
  const whole = Math.round(value * 100) / 100;
  return say(`word.${(SCALE.find(([least]) => whole >= least) ?? [0, "hardly"])[1]}`);
}

/** Give the bounds of the words, in percent. */
export const scale = () => Object.fromEntries(SCALE.map(([least, word]) => [word, percent(least)]));

/** Put a probability in words and in percent. */
export const sure = (value) => say("sure", { words: inWords(value), percent: percent(value) });

/** Guess a text's language from its script, for fonts and voices; "" where it is none of these. */
export function languageOf(text) {
  const sample = text.slice(0, 2000);
  if (/[\u3040-\u30ff]/.test(sample)) return "ja";
  if (/[\uac00-\ud7af]/.test(sample)) return "ko";
  const han = sample.match(/\p{Script=Han}/gu)?.length ?? 0;
  const latin = sample.match(/\p{Script=Latin}/gu)?.length ?? 0;
  if (!han && !latin) return "";
  return han * 2 > latin ? "zh" : "en"; // a Chinese character is worth a few letters
}
