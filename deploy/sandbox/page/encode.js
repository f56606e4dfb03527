/**
 * What somebody types, as Slack's mrkdwn, and back: mentions are names to people and ids to Slack.
 * https://docs.slack.dev/messaging/formatting-message-text
 */
import { escaped, unescaped } from "./escapes.js";

const CODE = /(```[\s\S]*?```|`[^`\n]+`)/;
const EVERYBODY = ["here", "channel", "everyone"];

/** The typed text as the Web API takes it; names in code stay words. */
export function encode(typed, names) {
  const targets = wired(names);
  const named = new RegExp(
    `(?<![\\p{L}\\p{N}_@#&])(?:${longestFirst(targets)})(?!-?[\\p{L}\\p{N}_])|[&<>]`,
    "gu",
  );
  return typed
    .split(CODE)
    .map((part, at) =>
      at % 2 ? escaped(part) : part.replace(named, (found) => targets.get(found) ?? escaped(found)),
    )
    .join("");
}

/** The text as somebody would type it; a link with a label becomes its address. */
export function decode(wire, names) {
  return wire
    .split(CODE)
    .map((part, at) =>
      unescaped(at % 2 ? part : part.replace(/<([^<>\n]+)>/g, (_, inner) => pointed(inner, names))),
    )
    .join("");
}

/** Each name with its sign, and what Slack calls it; a person goes before a group of that name. */
function wired(names) {
  return new Map([
    ...names.places().map(({ id, name }) => [`#${name}`, `<#${id}>`]),
    ...EVERYBODY.map((name) => [`@${name}`, `<!${name}>`]),
    ...names.groups().map(({ id, name }) => [`@${name}`, `<!subteam^${id}>`]),
    ...names.everybody().map(({ id, name }) => [`@${name}`, `<@${id}>`]),
  ]);
}

function longestFirst(targets) {
  const found = [...targets.keys()].sort((a, b) => b.length - a.length);
  return found.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
}

function pointed(inner, names) {
  const [target] = inner.split("|");
  if (target.startsWith("@")) return `@${names.user(target.slice(1))}`;
  if (target.startsWith("#")) return `#${names.channel(target.slice(1))}`;
  if (target.startsWith("!subteam^")) return `@${names.group(target.slice(9))}`;
  if (target.startsWith("!")) return `@${target.slice(1).split("^")[0]}`;
  return target.replace(/^mailto:/, "");
}
