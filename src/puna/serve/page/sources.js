// The texts to ask: what is pasted, and text files, read here in the browser.

import { at, button, make, show } from "./dom.js";
import { points } from "./places.js";
import { current, say } from "./words.js";

const ENCODINGS = ["utf-8", "gb18030", "big5", "utf-16le", "utf-16be", "windows-1252", "shift_jis", "euc-kr"];
// What a library reads by its structure is no plain text, though it may be written in characters.
const STRUCTURED = /\.(pdf|docx?|odt|rtf|epub|html?|xhtml|xml|pptx?|xlsx?|zip|gz)$/i;

const files = []; // {name, bytes, text, encoding, other}: other, where it is not UTF-8

/** Replace halves of characters, which no encoding can write; lengths stay as they are. */
const whole = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

function decode(bytes, encoding) {
  return new TextDecoder(encoding, { fatal: true }).decode(bytes);
}

function guess(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  for (const encoding of current() === "zh" ? ["utf-8", "gb18030", "big5"] : ["utf-8", "gb18030"]) {
    try {
      decode(bytes, encoding);
      return encoding;
    } catch {
      // the next one
    }
  }
  return "windows-1252"; // every byte is a character there
}

function unique(name) {
  const taken = new Set([say("pasted"), ...files.map((file) => file.name)]);
  if (!taken.has(name)) return name;
  let n = 2;
  while (taken.has(`${name} (${n})`)) n += 1;
  return `${name} (${n})`;
}

/** Tell whether a file can be read here: by its name, and no zero byte but in UTF-16. */
function isText(name, bytes) {
  if (STRUCTURED.test(name)) return false;
  return guess(bytes).startsWith("utf-16") || !bytes.subarray(0, 65536).includes(0);
}

/** Tell whether all of these files are texts, which need no library. */
export async function readable(list) {
  const all = await Promise.all(Array.from(list, async (file) => isText(file.name, new Uint8Array(await file.arrayBuffer()))));
  return all.every(Boolean);
}

/** Take files; gives the keys and values of what is to be said about those that were not taken. */
export async function take(list) {
  const said = [];
  for (const file of list) {
    let bytes;
    try {
      bytes = new Uint8Array(await file.arrayBuffer());
    } catch {
      said.push(["error.file", { name: file.name }]);
      continue;
    }
    if (!isText(file.name, bytes)) {
      said.push(["error.kind", { name: file.name }]);
      continue;
    }
    const encoding = guess(bytes);
    const text = new TextDecoder(encoding).decode(bytes);
    if (!text.trim()) {
      said.push(["error.empty", { name: file.name }]);
      continue;
    }
    files.push({ name: unique(file.name), bytes, text: whole(text), encoding, other: encoding !== "utf-8" });
    if (encoding !== "utf-8") said.push(["error.encoding", { name: file.name, encoding: encoding.toUpperCase() }]);
  }
  listFiles();
  return said;
}

/** Give what will be read: [{name, text}], empty where there is nothing. */
export function texts() {
  const pasted = whole(at("text").value);
  const own = pasted.trim() ? [{ name: say("pasted"), text: pasted }] : [];
  return [...own, ...files.map(({ name, text }) => ({ name, text }))];
}

/** Show texts for change: one that came from the text box goes back there, the others are files again. */
export function put(given) {
  files.length = 0;
  at("text").value = "";
  for (const { name, text } of given) {
    if (!at("text").value && given.length === 1) at("text").value = text;
    else files.push({ name, bytes: null, text, encoding: "utf-8", other: false });
  }
  listFiles();
}

/** Write the list of files anew, as after a change of language. */
export function listFiles() {
  at("files").replaceChildren(...files.map(row));
  show(at("files"), files.length > 0);
}

function row(file) {
  const remove = button("×", () => {
    files.splice(files.indexOf(file), 1);
    listFiles();
    at("choose").focus();
  }, { "aria-label": say("remove", { name: file.name }) });
  return make("li", {},
    make("bdi", { class: "name" }, file.name),
    make("span", { class: "hint" }, say("size", { count: points(file.text) })),
    file.other ? encodings(file) : null,
    remove);
}

function encodings(file) {
  const chosen = make("select", { "aria-label": say("encoding", { name: file.name }) },
    ...ENCODINGS.map((name) => make("option", { value: name, selected: name === file.encoding }, name.toUpperCase())));
  chosen.addEventListener("change", () => {
    file.encoding = chosen.value;
    file.text = whole(new TextDecoder(chosen.value).decode(file.bytes));
    listFiles();
  });
  return chosen;
}
