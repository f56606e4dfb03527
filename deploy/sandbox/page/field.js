/** A box to write in: it grows, and it offers to finish names, channels, commands and emoji. */
import { DOWN } from "./arrows.js";
import { Offers, offers } from "./autocomplete.js";
import { h } from "./dom.js";
import { useLayoutEffect, useRef, useState } from "./vendor/hooks.mjs";

const GROWS = CSS.supports("field-sizing", "content");
const CARET_KEYS = new Set(["ArrowLeft", "ArrowRight", "Home", "End"]);

/**
 * id, label, hint: its id, its name, and what stands in it while it is empty.
 * text: what is in it; `change` is called with what somebody makes of it.
 * enter, escape: what these keys do; `up` is the arrow in an empty box.
 * focused: whether one writes here at once.
 */
export function Field({ id, label, hint, text, change, enter, escape, up, focused, state, names }) {
  const area = useRef(null);
  const [offered, setOffered] = useState(null);
  const [at, setAt] = useState(0);
  const list = `${id}-offers`;

  useLayoutEffect(() => {
    if (!focused) return;
    area.current.focus();
    area.current.setSelectionRange(text.length, text.length);
  }, []);
  useLayoutEffect(() => {
    if (!GROWS) grow(area.current);
  }, [text]);

  function look() {
    const { value, selectionStart } = area.current;
    setOffered(offers(value.slice(0, selectionStart), state, names));
    setAt(0);
  }

  function typed() {
    change(area.current.value);
    look();
  }

  function take(option) {
    const { value, selectionStart } = area.current;
    const before = value.slice(0, offered.from) + option.text;
    area.current.value = before + value.slice(selectionStart).replace(/^ /, "");
    area.current.setSelectionRange(before.length, before.length);
    change(area.current.value);
    setOffered(null);
  }

  /** Whether the key was for the list. */
  function inList({ key, shiftKey }) {
    const { options, from } = offered;
    if (key in DOWN) setAt((at + DOWN[key] + options.length) % options.length);
    else if (key === "Escape") setOffered(null);
    else if (key === "Tab" && !shiftKey) take(options[at]);
    else if (key === "Enter" && !shiftKey && !isWhole(options[at], from)) take(options[at]);
    else return false;
    return true;
  }

  /** What is typed to its end needs no choosing: Enter sends. */
  function isWhole(option, from) {
    const { value, selectionStart } = area.current;
    return value.slice(from, selectionStart) === option.text.trim();
  }

  function keyed(event) {
    if (event.isComposing || event.keyCode === 229) return; // an input method's own Enter
    if (offered && inList(event)) return event.preventDefault();
    const act = { Enter: !event.shiftKey && enter, Escape: escape, ArrowUp: !text && up }[event.key];
    if (!act) return;
    event.preventDefault();
    setOffered(null);
    act();
  }

  return h(
    "div",
    { class: "field-box" },
    h("textarea", {
      ref: area,
      id,
      rows: "1",
      name: "text",
      "aria-label": label,
      placeholder: hint,
      value: text,
      autocomplete: "off",
      "aria-autocomplete": "list",
      "aria-controls": offered && list,
      "aria-activedescendant": offered && `${list}-${at}`,
      onInput: typed,
      onKeyDown: keyed,
      onKeyUp: (event) => CARET_KEYS.has(event.key) && look(),
      onClick: look,
      onBlur: () => setOffered(null),
    }),
    offered && h(Offers, { id: list, options: offered.options, at, take, beside: () => area.current }),
  );
}

/** For browsers that cannot do it themselves. */
function grow(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
