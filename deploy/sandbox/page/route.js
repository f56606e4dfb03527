/**
 * What is looked at, kept in the address: `?as=asker&channel=C0HELP&thread=TS`, `&tab=home`,
 * `&team=ID`. So each window has a person and a place of its own, and Back goes back.
 */
const PARTS = ["as", "team", "channel", "thread", "tab"];
const listeners = new Set();

/** The place in the address. */
export function place() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(PARTS.map((part) => [part, query.get(part) ?? ""]));
}

/** The address of a place; what `change` does not name stays, what it names as empty goes. */
export function address(change) {
  const query = Object.entries({ ...place(), ...change }).filter(([, value]) => value);
  return `?${new URLSearchParams(query)}`;
}

/** Look elsewhere. */
export function go(change, { replace = false } = {}) {
  const to = address(change);
  if (to === location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  for (const tell of listeners) tell();
}

/** Call `tell` whenever the place changes. */
export function onMove(tell) {
  listeners.add(tell);
  addEventListener("popstate", tell);
}

/** The attributes of a link to a place, which a plain click follows without leaving the page. */
export function to(change) {
  return {
    href: address(change),
    onClick(event) {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      go(change);
    },
  };
}
