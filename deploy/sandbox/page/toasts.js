/** Short words at the foot of the page that go by themselves: what did not work. */
import { Refused } from "./api.js";
import { h } from "./dom.js";
import { useEffect, useState } from "./vendor/hooks.mjs";

const SHOWN_MS = 8000;
const watching = new Set();
let said = [];
let last = 0;

/** Say something to whoever looks at the page: a text, or the error that they met. */
export function toast(what) {
  const text = what instanceof Error ? wordsOf(what) : what;
  const id = (last += 1);
  show([...said, { id, text }]);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

/** What was said lately, read out by screen readers. A dialog has its own: it covers the page's. */
export function Toasts() {
  const [shown, setShown] = useState(said);
  useEffect(() => {
    watching.add(setShown);
    return () => watching.delete(setShown);
  }, []);
  const one = ({ id, text }) =>
    h(
      "p",
      { class: "toast", key: id },
      text,
      h(
        "button",
        { type: "button", class: "close", "aria-label": "Dismiss", onClick: () => dismiss(id) },
        "✕",
      ),
    );
  return h("div", { class: "toasts", role: "status", "aria-live": "polite" }, ...shown.map(one));
}

function wordsOf(error) {
  if (!(error instanceof Refused)) console.error(error);
  return error.message === error.code ? `That did not work: ${error.code}` : error.message;
}

function dismiss(id) {
  show(said.filter((one) => one.id !== id));
}

function show(now) {
  said = now;
  for (const tell of watching) tell(now);
}
