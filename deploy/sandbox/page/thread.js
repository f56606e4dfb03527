/** A thread, in the pane at the right. */
import { Composer } from "./composer.js";
import { typingWords } from "./conversation.js";
import { h } from "./dom.js";
import { Message, follows } from "./message.js";
import { to } from "./route.js";
import { Messages } from "./roving.js";
import { Scroller } from "./scroller.js";
import { message, replies, typists } from "./state.js";

/** The message that the thread is of, its replies, and where one replies. */
export function Thread(props) {
  const { state, names, place } = props;
  const channel = state.channels[place.channel];
  const root = message(state, place.channel, place.thread);
  const under = replies(state, place.channel, place.thread);
  const key = `${place.channel}:${place.thread}`;
  const status = state.statuses[key];
  return h(
    "aside",
    { class: "panel pane", "aria-label": "Thread", id: "thread" },
    h(
      "header",
      { class: "top" },
      h("h2", {}, "Thread"),
      h("span", { class: "crumb" }, channel && names.channel(channel.id)),
      h("a", { class: "close", "aria-label": "Close the thread", ...to({ thread: "" }) }, "✕"),
    ),
    h(
      Scroller,
      { label: "Messages in the thread", newest: under.at(-1)?.ts },
      h(
        Messages,
        {},
        root && h(Message, { key: root.ts, said: root, names, state, place }),
        !root && state.threads.has(key) && h("li", { class: "empty" }, "This message was deleted."),
        under.length > 0 &&
          h("li", { class: "reply-line" }, `${under.length} ${under.length === 1 ? "reply" : "replies"}`),
        ...under.map((one, at) =>
          h(Message, { key: one.ts, said: one, names, state, place, goesOn: follows(under[at - 1], one) }),
        ),
      ),
      h("p", { class: "status", role: "status" }, status && `${names.user(state.app.user)} ${status}`),
      h(
        "p",
        { class: "typing", "aria-live": "polite" },
        typingWords(typists(state, place.channel, place.thread), names),
      ),
    ),
    root && channel?.is_member && h(Composer, { ...props, channel, thread: root.ts }),
  );
}
