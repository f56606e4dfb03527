/** Changing what one has said, in its place. */
import { call } from "./api.js";
import { h } from "./dom.js";
import { decode, encode } from "./encode.js";
import { Field } from "./field.js";
import { toast } from "./toasts.js";
import { useEffect, useRef, useState } from "./vendor/hooks.mjs";

const EDIT = "edit"; // the event by which others ask a message to be edited

/** Edit the newest message of somebody among those in an element. */
export function editNewest(element, user) {
  const own = [...element.querySelectorAll(`li.message[data-user="${user}"]`)];
  own.findLast((row) => !row.matches(".ephemeral"))?.dispatchEvent(new CustomEvent(EDIT));
}

/**
 * said: the message.
 * done: called when it is saved or left as it was, with what had the focus before.
 */
export function Editor({ said, state, names, done }) {
  const [text, setText] = useState(() => decode(said.text, names));
  const [before] = useState(() => document.activeElement);
  const form = useRef(null);
  // After the list has followed its end, which has gone down.
  useEffect(() => form.current.scrollIntoView({ block: "nearest" }), []);

  const leave = () => done(before);

  async function save(event) {
    event?.preventDefault();
    if (!text.trim()) return;
    try {
      const wire = encode(text.trim(), names);
      if (wire !== said.text) await call("chat.update", { channel: said.channel, ts: said.ts, text: wire });
      leave();
    } catch (error) {
      toast(error);
    }
  }

  return h(
    "form",
    { ref: form, class: "composer editor", onSubmit: save },
    h(
      "div",
      { class: "box" },
      h(Field, {
        id: `edit-${said.ts}`,
        label: "Edit message",
        text,
        change: setText,
        enter: save,
        escape: leave,
        focused: true,
        state,
        names,
      }),
    ),
    h(
      "div",
      { class: "editor-end" },
      h("button", { type: "button", class: "button", onClick: leave }, "Cancel"),
      h("button", { class: "button primary", disabled: !text.trim() }, "Save"),
    ),
  );
}
