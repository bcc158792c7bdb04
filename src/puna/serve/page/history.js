// Earlier questions, kept in this browser only.

const KEY = "puna.history";
const ENTRIES = 50;
const CHARACTERS = 200_000; // of a text; longer ones are not kept, the answer is

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY));
    if (Array.isArray(found?.entries)) return found;
  } catch {
    // storage is forbidden, or holds something else
  }
  return { keep: true, entries: [] };
}

function write(all) {
  while (true) {
    try {
      localStorage.setItem(KEY, JSON.stringify(all));
      return true;
    } catch {
      if (!all.entries.length) return false; // storage is forbidden
      all.entries.pop(); // it is full: the oldest goes
    }
  }
}

/** Tell whether questions are kept. */
export const keeps = () => stored().keep;

/** Keep questions from now on, or no longer. */
export function keep(wanted) {
  write({ ...stored(), keep: wanted });
}

/** List what is kept, the latest first. */
export const entries = () => stored().entries;

/** Give the entry of an id. */
export const entry = (id) => stored().entries.find((each) => each.id === id) ?? null;

/** Delete all entries. */
export function clear() {
  write({ ...stored(), entries: [] });
}

/** Keep an answer with its texts (null: from the library); gives its id, null where nothing is kept. */
export function add({ answers, texts, candidates }) {
  const all = stored();
  if (!all.keep) return null;
  const id = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const short = texts?.map(({ name, text }) => ({ name, text: text.length <= CHARACTERS ? text : null })) ?? null;
  all.entries.unshift({ id, when: Date.now(), answers, texts: short, candidates });
  all.entries.length = Math.min(all.entries.length, ENTRIES);
  return write(all) && all.entries[0]?.id === id ? id : null;
}
