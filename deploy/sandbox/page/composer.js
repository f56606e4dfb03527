/** Where one writes. */
import { call } from "./api.js";
import { h } from "./dom.js";
import { toast } from "./toasts.js";

/** channel: where it goes; thread: the ts of the thread, or "". */
export function Composer({ channel, thread }) {
  const send = (event) => {
    event.preventDefault();
    const field = event.target.elements.text;
    const body = { channel: channel.id, text: field.value, ...(thread ? { thread_ts: thread } : {}) };
    call("chat.postMessage", body).then(() => (field.value = ""), toast);
  };
  return h("form", { class: "composer", onSubmit: send }, h("textarea", { id: thread ? "reply" : "composer", name: "text", "aria-label": "Message" }), h("button", { class: "button primary" }, "Send"));
}
