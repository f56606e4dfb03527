/** What one can do with a message: react, reply, and the rest in a menu. */
import { call, control } from "./api.js";
import { ACROSS, ledTo } from "./arrows.js";
import { confirmed } from "./confirming.js";
import { Fragment, h } from "./dom.js";
import { writeIn } from "./drafts.js";
import { Menu } from "./menu.js";
import { Picker } from "./picker.js";
import { address, go } from "./route.js";
import { toggle } from "./reactions.js";
import { isReply } from "./state.js";
import { symbol } from "./symbols.js";
import { toast } from "./toasts.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

const QUICK = { white_check_mark: "✅ (right)", x: "❌ (wrong)", memo: "📝 (this is right)" };

/** Open the thread that a message stands in or begins, and write there. */
export function reply(said) {
  const thread = said.thread_ts ?? said.ts;
  go({ channel: said.channel, thread });
  writeIn(`${said.channel}:${thread}`);
}

/**
 * The buttons over a message.
 *
 * open: which part is open: "picker", "menu" or ""; `setOpen` opens another, `shut` closes one.
 * edit: begins to edit, where it is one's own.
 */
export function Actions({ said, state, names, open, setOpen, shut, edit }) {
  const bar = useRef(null);
  const before = useRef(""); // what was open when the pointer came down, which closes it
  const beside = () => bar.current;
  const close = () => shut(open);
  useLayoutEffect(() => intoView(bar.current), []);
  const react = (name) => toggle(said, name, state.me);

  function opener(part, label, face) {
    const pressed = () => {
      setOpen(before.current === part ? "" : part);
      before.current = "";
    };
    const down = () => (before.current = open);
    return h(
      "button",
      {
        type: "button",
        "aria-label": label,
        title: label,
        "aria-haspopup": part === "menu" ? "menu" : "dialog",
        "aria-expanded": String(open === part),
        tabindex: "-1",
        onPointerDown: down,
        onClick: pressed,
      },
      face,
    );
  }

  const quick = Object.entries(QUICK).map(([name, meaning], at) =>
    h(
      "button",
      {
        type: "button",
        class: "emoji",
        "aria-label": `React with ${meaning}`,
        title: `React with ${meaning}`,
        tabindex: at ? "-1" : "0",
        onClick: () => react(name),
      },
      meaning.split(" ")[0],
    ),
  );
  return h(
    Fragment,
    {},
    h(
      "div",
      { ref: bar, class: "toolbar", role: "toolbar", "aria-label": "Message actions", onKeyDown: keyed },
      ...quick,
      opener("picker", "Add a reaction", symbol("face")),
      h(
        "button",
        {
          type: "button",
          "aria-label": "Reply in thread",
          title: "Reply in thread",
          tabindex: "-1",
          onClick: () => reply(said),
        },
        symbol("thread"),
      ),
      opener("menu", "More actions", symbol("more")),
    ),
    open === "picker" && h(Picker, { pick: react, beside, close }),
    open === "menu" &&
      h(Menu, { label: "More actions", items: items({ said, state, names, edit }), beside, close }),
  );
}

/** Whether nobody but oneself may change it. */
export const own = (said, state) => said.user === state.me && said.subtype !== "tombstone";

function items({ said, state, names, edit }) {
  const shortcut = ({ name, callback_id }) => ({
    name,
    act: () => control("shortcut", { channel: said.channel, ts: said.ts, callback_id }).catch(toast),
  });
  const mine = [
    { name: "Edit message", act: edit },
    { name: "Delete message", danger: true, act: () => remove(said, names) },
  ];
  const ofApp = state.shortcuts.map(shortcut);
  const link = { name: "Copy link", act: () => copy(said) };
  return [...ofApp, ...(ofApp.length ? [null] : []), link, ...(own(said, state) ? [null, ...mine] : [])];
}

async function copy(said) {
  const thread = isReply(said) ? said.thread_ts : "";
  try {
    await navigator.clipboard.writeText(
      new URL(address({ channel: said.channel, thread, tab: "" }), location.href),
    );
    toast("The link is copied.");
  } catch (error) {
    toast(error);
  }
}

/** Delete a message, once somebody has said that they mean it. */
async function remove(said, names) {
  const quoted = said.text.replace(/^/gm, "> ");
  const question = {
    title: plain("Delete message"),
    text: {
      type: "mrkdwn",
      text: `Are you sure you want to delete this message? This cannot be undone.\n${quoted}`,
    },
    confirm: plain("Delete"),
    style: "danger",
  };
  if (await confirmed(question, names))
    await call("chat.delete", { channel: said.channel, ts: said.ts }).catch(toast);
}

const plain = (text) => ({ type: "plain_text", text });

/** The arrow keys go from button to button. */
function keyed(event) {
  const to = ledTo(event.key, [...event.currentTarget.children], event.target.closest("button"), ACROSS);
  if (!to) return;
  event.preventDefault();
  to.focus();
}

/** Over the first row there is no room for the bar: it goes down into it. */
function intoView(bar) {
  const hidden = bar.closest(".scroller").getBoundingClientRect().top - bar.getBoundingClientRect().top;
  if (hidden > 0) bar.style.top = `${bar.offsetTop + hidden + 2}px`;
}
