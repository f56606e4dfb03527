/** The list of messages as one stop for Tab, in which the arrow keys go from message to message. */
import { h } from "./dom.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

const ROW = "li.message";

/** The list; the newest message is where Tab comes to first. */
export function Messages({ children }) {
  const list = useRef(null);
  useLayoutEffect(() => {
    const here = document.activeElement?.closest(ROW);
    const newest = [...list.current.children].findLast((row) => row.matches(ROW));
    if (newest && !list.current.contains(here)) stopAt(list.current, newest);
  });

  function keyed(event) {
    const row = event.target;
    if (!row.matches(ROW) || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = TO[event.key]?.(row, list.current);
    if (to === undefined) return;
    event.preventDefault();
    to?.focus();
  }

  const focused = (event) => stopAt(list.current, event.target.closest(ROW));
  return h("ul", { ref: list, class: "messages", onKeyDown: keyed, onFocusIn: focused }, children);
}

const TO = {
  ArrowUp: (row) => beside(row, "previousElementSibling"),
  ArrowDown: (row) => beside(row, "nextElementSibling"),
  Home: (_row, list) => list.querySelector(ROW),
  End: (_row, list) => [...list.children].findLast((row) => row.matches(ROW)),
};

function beside(row, way) {
  let found = row[way];
  while (found && !found.matches(ROW)) found = found[way];
  return found;
}

function stopAt(list, row) {
  if (!row || row.tabIndex === 0) return;
  for (const before of list.querySelectorAll(`${ROW}[tabindex="0"]`)) before.tabIndex = -1;
  row.tabIndex = 0;
}
