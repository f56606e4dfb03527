/** Where one picks an emoji: those that mean something to the app first, then all by name. */
import { h } from "./dom.js";
import { face, find } from "./emoji.js";
import { Popover } from "./popover.js";
import { useRef, useState } from "./vendor/hooks.mjs";

const FIRST = ["white_check_mark", "x", "memo", "sos", "+1", "-1", "eyes"];

/**
 * pick: called with the name of what was picked.
 * beside, close: as for a popover.
 */
export function Picker({ pick, beside, close }) {
  const [sought, setSought] = useState("");
  const box = useRef(null);
  const found = find(sought.trim());

  function take(name) {
    box.current.parentElement.hidePopover();
    pick(name);
  }

  function keyed(event) {
    const field = event.target.localName === "input";
    if (field && event.key === "Enter" && sought.trim() && found.length) return take(found[0]);
    if (field && event.key !== "ArrowDown") return;
    const to = reached([...box.current.querySelectorAll("button")], event);
    if (!to) return;
    event.preventDefault();
    to.focus();
  }

  const one = (name) =>
    h(
      "button",
      {
        key: name,
        type: "button",
        class: "emoji",
        title: `:${name}:`,
        "aria-label": name,
        onClick: () => take(name),
      },
      face(name),
    );
  return h(
    Popover,
    { beside, close, class: "pop" },
    h(
      "div",
      { ref: box, class: "picker", role: "dialog", "aria-label": "Add a reaction", onKeyDown: keyed },
      h("input", {
        type: "search",
        autofocus: true,
        placeholder: "Search emoji",
        "aria-label": "Search emoji",
        autocomplete: "off",
        onInput: (event) => setSought(event.target.value),
      }),
      !sought.trim() &&
        h("div", { class: "grid", role: "group", "aria-label": "Often used here" }, ...FIRST.map(one)),
      h("div", { class: "grid all", role: "group", "aria-label": "All emoji" }, ...found.map(one)),
      !found.length && h("p", { class: "none", role: "status" }, "No emoji has such a name."),
    ),
  );
}

/** The button that an arrow key leads to: the next one, or the one above or below. */
function reached(buttons, { key, target }) {
  if (target.localName === "input") return buttons[0];
  const at = buttons.indexOf(target);
  if (key === "ArrowRight") return buttons[at + 1];
  if (key === "ArrowLeft") return buttons[at - 1];
  const column = (one) => Math.abs(one.offsetLeft - target.offsetLeft) < 2;
  if (key === "ArrowDown") return buttons.slice(at + 1).find(column);
  if (key === "ArrowUp")
    return buttons.slice(0, at).findLast(column) ?? target.closest(".picker").querySelector("input");
  return null;
}
