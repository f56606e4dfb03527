/** Where one writes. */
import { call, control } from "./api.js";
import { h } from "./dom.js";
import { attach, draft, keepDraft, takeWanted } from "./drafts.js";
import { editNewest } from "./editing.js";
import { encode } from "./encode.js";
import { Field } from "./field.js";
import { symbol } from "./symbols.js";
import { useLayoutEffect, useRef, useState } from "./vendor/hooks.mjs";

const TYPING_EVERY_MS = 2000;

/** channel: where it goes; thread: the ts of the thread, or "". */
export function Composer({ state, names, place, ask, channel, thread }) {
  const here = `${channel.id}:${thread}`;
  const [wanted] = useState(() => takeWanted(here));
  const [text, setText] = useState(() => wanted?.text ?? draft(place.as, here));
  const [why, setWhy] = useState(""); // the last text was not sent
  const [too, setToo] = useState(false); // also to the channel
  const form = useRef(null);
  const unsent = useRef([]); // what Enter was pressed on, oldest first; the first is on its way
  const typed = useRef(0);
  const away = useRef(false); // whoever looks elsewhere by now may be somebody else
  const latest = useRef(text);
  useLayoutEffect(() => keepDraft(place.as, here, text), [here, text]);
  useLayoutEffect(() => () => (away.current = true), []);
  useLayoutEffect(() => attach(here, { change, focus: () => form.current.elements.text.focus() }), [here]);

  function change(next) {
    latest.current = next;
    setText(next);
    setWhy("");
    if (!next || Date.now() - typed.current < TYPING_EVERY_MS) return;
    typed.current = Date.now();
    ask.typing(channel.id, thread);
  }

  /** The box is free at once; messages go out one after the other, in the order of their Enter. */
  async function send(event) {
    event?.preventDefault();
    const words = latest.current;
    if (!words.trim()) return;
    unsent.current.push(words);
    rest("");
    if (unsent.current.length > 1) return; // the one before is still on its way
    try {
      while (unsent.current.length) {
        if (away.current) return giveBack();
        await said(unsent.current[0]);
        unsent.current.shift();
      }
    } catch (error) {
      const [words] = unsent.current;
      giveBack();
      setWhy(reason(words, error));
    }
  }

  /** What was not sent is written in the box again, before what was begun since. */
  function giveBack() {
    const after = away.current ? draft(place.as, here) : latest.current;
    rest([...unsent.current.splice(0), after].filter(Boolean).join("\n"));
  }

  function rest(left) {
    typed.current = 0;
    latest.current = left;
    setText(left);
    keepDraft(place.as, here, left);
  }

  async function said(words) {
    setWhy("");
    if (!words.startsWith("/")) return post(words);
    const [, command, after] = /^(\S+)\s*([\s\S]*)$/.exec(words);
    if (!state.commands.some((one) => one.command === command)) throw new Unknown(command);
    if (thread) throw new Elsewhere(command);
    return control("command", { channel: channel.id, command, text: after.trim() });
  }

  function post(words) {
    const under = thread ? { thread_ts: thread, ...(too ? { reply_broadcast: true } : {}) } : {};
    return call("chat.postMessage", { channel: channel.id, text: encode(words.trim(), names), ...under });
  }

  const direct = channel.type === "im";
  const name = names.channel(channel.id);
  const label = thread ? "Reply in thread" : `Message ${direct ? "" : "#"}${name}`;
  const suggested = state.prompts[thread ? `${channel.id}:${thread}` : channel.id];
  const offer = (message) => post(message).catch((error) => setWhy(reason(message, error)));
  return h(
    "form",
    { ref: form, class: "composer", onSubmit: send },
    suggested && h(Prompts, { suggested, offer }),
    h(
      "div",
      { class: "box" },
      h(Field, {
        id: thread ? "reply" : "composer",
        label,
        hint: thread ? "Reply …" : label,
        text,
        change,
        enter: send,
        up: () => editNewest(form.current.closest(".panel"), state.me),
        focused: Boolean(wanted),
        state,
        names,
      }),
      h(
        "button",
        { class: "send", "aria-label": "Send", title: "Send", disabled: !text.trim() },
        symbol("send"),
      ),
    ),
    why && h("p", { class: "not-sent", role: "alert" }, why),
    thread &&
      h(
        "label",
        { class: "also" },
        h("input", { type: "checkbox", checked: too, onChange: (event) => setToo(event.target.checked) }),
        direct ? "Also send as direct message" : `Also send to #${name}`,
      ),
  );
}

/** The app's suggestions: each says its message in one's own name. */
function Prompts({ suggested, offer }) {
  const one = ({ title, message }) =>
    h("button", { type: "button", class: "prompt", title: message, onClick: () => offer(message) }, title);
  return h(
    "div",
    { class: "prompts", role: "group", "aria-label": suggested.title || "Suggestions" },
    suggested.title && h("span", {}, suggested.title),
    ...suggested.prompts.map(one),
  );
}

/** Nobody has this command. */
class Unknown extends Error {
  constructor(command) {
    super(
      `${command} is not a valid command. All messages that start with the “/” character are interpreted as slash ` +
        "commands. If you are trying to send a message and not run a command, try preceding the “/” with an empty space.",
    );
  }
}

/** A command in a thread. */
class Elsewhere extends Error {
  constructor(command) {
    super(`${command} is not supported in threads. Sorry!`);
  }
}

function reason(words, error) {
  if (error instanceof Unknown || error instanceof Elsewhere) return error.message;
  if (words.startsWith("/")) return `${words.split(/\s/)[0]} failed with the error “${error.message}”.`;
  return `This was not sent: ${error.message}.`;
}
