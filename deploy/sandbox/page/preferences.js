/** What a browser remembers of how somebody likes the page; nothing of what was said. */
const PREFIX = "mynah:";
const here = new Map(); // for a browser that keeps nothing
const listeners = new Set();

/** What was kept under a name, or `otherwise`. */
export function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return here.get(name) ?? otherwise;
  }
}

/** Keep it, where the browser lets us, and tell whoever listens. */
export function keep(name, value) {
  here.set(name, value);
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // then it is as it was on the next visit
  }
  for (const tell of listeners) tell(name);
}

/** Call `tell` when something is kept under a name, in this window or another. Returns an end. */
export function onKept(wanted, tell) {
  const hear = (name) => name === wanted && tell();
  const hearOther = (event) => hear(event.key?.slice(PREFIX.length));
  listeners.add(hear);
  addEventListener("storage", hearOther);
  return () => {
    listeners.delete(hear);
    removeEventListener("storage", hearOther);
  };
}
