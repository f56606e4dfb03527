/**
 * What people do, by the same calls as every other client: Slack's Web API, and the control API
 * for what that cannot do (press, submit, type a command).
 */
let token = "";

/** Slack, or the sandbox, said no; `code` is Slack's name for why. */
export class Refused extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.code = code;
  }
}

/** Act with this token from now on. */
export function actWith(secret) {
  token = secret;
}

/** Call a method of the Web API. Throws Refused. */
export async function call(method, body = {}) {
  return asked(`/api/${method}`, body, { Authorization: `Bearer ${token}` });
}

/** Do what only a client can do. Throws Refused. */
export async function control(what, body = {}) {
  return asked(`/_control/${what}`, what === "faults" ? body : { token, ...body });
}

/** What the page may look at: `history`, `thread`, `log/N`. */
export async function look(what, query) {
  const answer = await reached(`/page/${what}?${new URLSearchParams(query)}`);
  if (!answer.ok) throw new Refused("not_found", await answer.text());
  return answer.json();
}

async function asked(url, body, headers = {}) {
  const answer = await reached(url, {
    method: "POST",
    headers: { "Content-Type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({ ok: false, error: `http_${answer.status}` }));
  if (!said.ok) throw new Refused(said.error, said.detail);
  return said;
}

async function reached(url, options) {
  try {
    return await fetch(url, options);
  } catch {
    throw new Refused("no_connection", "The sandbox does not answer.");
  }
}
