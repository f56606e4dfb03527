/** Where one writes. */
import { call } from "./api.js";
import { h } from "./dom.js";
import { toast } from "./toasts.js";

/** channel: where it goes; thread: the ts of the thread, or "". */
export function Composer({ channel, thread, state, names }) {
  const send = (event) => {
    event.preventDefault();
    const field = event.target.elements.text;
    const text = field.value.replace(`@${names.user(state.app.user)}`, `<@${state.app.user}>`);
    const body = { channel: channel.id, text, ...(thread ? { thread_ts: thread } : {}) };
    call("chat.postMessage", body).then(() => (field.value = ""), toast);
  };
  const attributes = { id: thread ? "reply" : "composer", name: "text", "data-place": `${channel.id}:${thread}`, "aria-label": thread ? "Reply in thread" : `Message #${channel.name}` };
  return h("form", { class: "composer", onSubmit: send }, h("textarea", attributes), h("button", { class: "button primary" }, "Send"));
}

/** Write into a place for somebody, who sends it or not. */
export function fill({ channel, thread, text }, tries = 200) {
  const field = document.querySelector(`textarea[data-place="${channel}:${thread}"]`);
  if (!field) return tries && requestAnimationFrame(() => fill({ channel, thread, text }, tries - 1));
  field.value = text;
  field.focus();
}
