/** What a text that is being typed may go on with: people, channels, commands, emoji. */
import { avatar } from "./avatar.js";
import { h } from "./dom.js";
import { face, find } from "./emoji.js";
import { Popover } from "./popover.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

const MOST = 8;
// What stands before the caret; names of people have spaces in them.
const BEGUN = [
  { pattern: /^\/(\S*)$/, offered: commands },
  { pattern: /(?:^|[\s(])@([\p{L}\p{N}._-]*(?: [\p{L}\p{N}._-]+){0,2})$/u, offered: people },
  { pattern: /(?:^|[\s(])#([\p{L}\p{N}_-]*)$/u, offered: channels },
  { pattern: /(?:^|[\s(]):([a-z0-9_+-]{2,})$/, offered: emoji },
];
const EVERYBODY = { here: "Everybody who is active in this channel", channel: "Everybody in this channel" };

/**
 * What may stand at the caret: {from, options: [{key, face, name, hint, text}]}, or null.
 *
 * from: where the part that an option's text replaces begins.
 */
export function offers(typed, state, names) {
  for (const { pattern, offered } of BEGUN) {
    const match = pattern.exec(typed);
    if (!match) continue;
    const options = offered(match[1].toLowerCase(), state, names).slice(0, MOST);
    if (options.length) return { from: typed.length - match[1].length - 1, options };
  }
  return null;
}

/** The options as a list beside the field; `at` is the one that Enter takes. */
export function Offers({ id, options, at, take, beside }) {
  const list = useRef(null);
  useLayoutEffect(() => list.current.children[at].scrollIntoView({ block: "nearest" }));
  const option = (one, index) =>
    h(
      "li",
      {
        key: one.key,
        id: `${id}-${index}`,
        role: "option",
        "aria-selected": String(index === at),
        onClick: () => take(one),
      },
      h("span", { class: "face", "aria-hidden": "true" }, one.face),
      h("strong", {}, one.name),
      one.hint && h("span", { class: "about" }, one.hint),
    );
  // The field keeps the focus: a press in the list must not take it.
  const press = (event) => event.preventDefault();
  return h(
    Popover,
    { kind: "manual", beside, class: "pop", "data-start": true, onMouseDown: press },
    h(
      "ul",
      { ref: list, id, class: "offers", role: "listbox", "aria-label": "Suggestions" },
      ...options.map(option),
    ),
  );
}

function commands(begun, state) {
  const found = state.commands.filter(({ command }) => command.startsWith(`/${begun}`));
  return found.map(({ command, description, usage_hint: usage }) => ({
    key: command,
    face: "/",
    name: command,
    hint: [usage, description].filter(Boolean).join(" · "),
    text: `${command} `,
  }));
}

function people(begun, state, names) {
  const users = state.users.filter(
    (user) => !user.deleted && (matches(names.user(user.id), begun) || matches(user.name, begun)),
  );
  const sorted = users.sort(
    (a, b) => b.is_bot - a.is_bot || names.user(a.id).localeCompare(names.user(b.id)),
  );
  const groups = names.groups().filter(({ name }) => matches(name, begun));
  const everybody = Object.keys(EVERYBODY).filter((name) => matches(name, begun));
  return [
    ...sorted.map((user) => person(user, names)),
    ...groups.map(({ id, name }) => ({
      key: id,
      face: "👥",
      name: `@${name}`,
      hint: "Group",
      text: `@${name} `,
    })),
    ...everybody.map((name) => ({
      key: name,
      face: "📣",
      name: `@${name}`,
      hint: EVERYBODY[name],
      text: `@${name} `,
    })),
  ];
}

function person({ id, name, is_bot }, names) {
  const shown = names.user(id);
  const hint = is_bot ? "App" : name !== shown && name;
  return { key: id, face: avatar(id, names, "tiny"), name: shown, hint, text: `@${shown} ` };
}

function channels(begun, state, names) {
  const found = Object.values(state.channels).filter((one) => one.type !== "im" && matches(one.name, begun));
  return found.map((one) => ({
    key: one.id,
    face: one.is_private ? "🔒" : "#",
    name: names.channel(one.id),
    text: `#${names.channel(one.id)} `,
  }));
}

function emoji(begun) {
  return find(begun).map((name) => ({ key: name, face: face(name), name: `:${name}:`, text: `:${name}: ` }));
}

/** Whether a name begins so, or one of its words does. */
function matches(name, begun) {
  const known = name.toLowerCase();
  return known.startsWith(begun) || known.split(/[\s._-]+/).some((word) => word.startsWith(begun));
}
