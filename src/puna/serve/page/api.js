// The service's HTTP interface; nothing else in the page knows its addresses and forms.

const KEY = "puna.key";

/** What went wrong: a `kind` of this page ("network", "busy", "key", "server") or a code and message of the service. */
export class Problem extends Error {
  constructor(kind, { code = "", message = "", hint = "", status = 0, seconds = 0 } = {}) {
    super(message || kind);
    Object.assign(this, { kind, code, hint, status, seconds });
  }
}

/** Keep a key for this tab. */
export const unlock = (key) => sessionStorage.setItem(KEY, key);

async function call(path, { language, ...options } = {}) {
  const headers = new Headers(options.headers);
  if (language) headers.set("Accept-Language", language);
  const key = sessionStorage.getItem(KEY);
  if (key) headers.set("Authorization", `Bearer ${key}`);
  let reply;
  try {
    reply = await fetch(path, { ...options, headers, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("network");
  }
  const { ok, status } = reply;
  const body = await reply.json().catch(() => null); // a proxy may answer for the service, in words of its own
  if (ok && body) return body;
  const { code = "", message = "", hint = "" } = body?.error ?? {};
  if (status === 401) throw new Problem("key", { code, message, hint, status });
  if (status === 429) {
    throw new Problem("busy", { code, message, hint, status, seconds: Number(reply.headers.get("Retry-After")) || 1 });
  }
  throw new Problem(message ? "said" : "server", { code, message, hint, status });
}

const post = (path, body, options) =>
  call(path, { ...options, method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Ask: `texts` is a list of {name, text}, or null for the library. Gives what `puna ask --json` prints. */
export function ask({ question, texts, candidates, top, exact }, options) {
  const body = { question, top };
  if (texts) body.texts = texts;
  if (candidates.length) body.candidates = candidates;
  if (exact) body.exact = true;
  return post("v1/answers", body, options);
}

/** Give what the service has: {library: whether it keeps documents, calibration: how its model was measured, or null}. */
export async function about() {
  const models = (await call("v1/models")).data;
  const puna = models.find((each) => each.puna)?.puna ?? {};
  return { library: puna.library ?? false, calibration: puna.calibration ?? null };
}

/** List the library's documents from a number on: {data, has_more}. */
export const documents = (offset = 0) => call(`v1/documents?offset=${offset}`);

/** Find a document by its name; null where there is none. */
export const named = async (name) => (await call(`v1/documents?${new URLSearchParams({ name })}`)).data[0] ?? null;

/** Add a file to the library. */
export function upload(file, options) {
  const form = new FormData();
  form.append("file", file);
  return call("v1/documents", { ...options, method: "POST", body: form });
}

/** Delete a document from the library. */
export const remove = (id) => call(`v1/documents/${encodeURIComponent(id)}`, { method: "DELETE" });

/** Give a piece of a document's text, `start` to `end` in code points; null where the document is gone. */
export async function excerpt(id, start, end) {
  try {
    return await call(`v1/documents/${encodeURIComponent(id)}?start=${start}&end=${end}`);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}
