/**
 * Slack's mrkdwn. https://docs.slack.dev/messaging/formatting-message-text
 *
 * `names` says what ids are called: `user(id)`, `channel(id)`, `group(id)`.
 */
import { LINKED, h, link } from "./dom.js";
import { face } from "./emoji.js";
import { unescaped } from "./escapes.js";

const INLINE = new RegExp(
  [
    "<(?<angled>[^<>\\n]+)>",
    "`(?<code>[^`\\n]+)`",
    ":(?<emoji>[a-z0-9_+'-]+)(?:::skin-tone-[2-6])?:",
    "(?<![\\w*])\\*(?<bold>[^*\\s](?:[^*\\n]*[^*\\s])?)\\*(?![\\w*])",
    "(?<![\\w_])_(?<italic>[^_\\s](?:[^_\\n]*[^_\\s])?)_(?![\\w_])",
    "(?<![\\w~])~(?<strike>[^~\\s](?:[^~\\n]*[^~\\s])?)~(?![\\w~])",
  ].join("|"),
);
const TAGS = { bold: "strong", italic: "em", strike: "s" };
const QUOTED = /^(?:>|&gt;) ?/;

/** The text's parts: code blocks, quotes, and lines of words. */
export function mrkdwn(text, names) {
  const nodes = [];
  text.split(/```\n?([\s\S]*?)```\n?/).forEach((part, at) => {
    if (at % 2) nodes.push(h("pre", {}, unescaped(part.replace(/\n$/, ""))));
    else if (part) nodes.push(...paragraphs(part, names));
  });
  return nodes;
}

/** A text object: mrkdwn, or plain text in which only emoji are drawn. */
export function textObject(object, names) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text, names);
  return withEmoji(object.text);
}

/** Plain text with its `:emoji:` drawn. */
export function withEmoji(text) {
  return text
    .split(/(:[a-z0-9_+'-]+:)/)
    .filter(Boolean)
    .map((part) => drawn(part.slice(1, -1), part));
}

/** Plain text where no element may stand, as in a menu: its `:emoji:` are characters. */
export function drawnPlain(text) {
  return text.replace(/:([a-z0-9_+'-]+):/g, (whole, name) => face(name) ?? whole);
}

/** An emoji by its name; `otherwise` where nobody knows it. */
export function drawn(name, otherwise = `:${name}:`) {
  const shown = /^:.+:$/.test(otherwise) ? face(name) : null;
  return shown ? h("span", { class: "emoji", title: `:${name}:` }, shown) : otherwise;
}

/** Somebody, a channel, a group or everybody, as a mention. */
export function mention(sign, name) {
  return h("span", { class: "mention" }, sign + name);
}

function paragraphs(text, names) {
  const found = [];
  for (const line of text.replace(/\n$/, "").split("\n")) {
    const quoted = QUOTED.test(line);
    const last = found.at(-1);
    if (last && last.quoted === quoted) last.lines.push(line.replace(QUOTED, ""));
    else found.push({ quoted, lines: [quoted ? line.replace(QUOTED, "") : line] });
  }
  return found.map(({ quoted, lines }) =>
    h(quoted ? "blockquote" : "div", { class: "lines" }, ...inline(lines.join("\n"), names)),
  );
}

function inline(text, names) {
  const nodes = [];
  for (let rest = text; rest;) {
    const match = INLINE.exec(rest);
    if (!match) return [...nodes, unescaped(rest)];
    if (match.index) nodes.push(unescaped(rest.slice(0, match.index)));
    nodes.push(piece(match, names));
    rest = rest.slice(match.index + match[0].length);
  }
  return nodes;
}

function piece(match, names) {
  const { angled, code, emoji } = match.groups;
  if (angled) return pointed(angled, names);
  if (code) return h("code", {}, unescaped(code));
  if (emoji) return drawn(emoji, match[0]);
  const [kind, words] = Object.entries(match.groups).find(([, value]) => value);
  return h(TAGS[kind], {}, ...inline(words, names));
}

/** What stands between < and >: a mention, or a link with its label. */
function pointed(angled, names) {
  const [target, label] = angled.split(/\|(.*)/s);
  if (target.startsWith("@")) return mention("@", names.user(target.slice(1)));
  if (target.startsWith("#")) return mention("#", names.channel(target.slice(1)));
  if (target.startsWith("!subteam^")) return mention("@", names.group(target.slice(9)));
  if (target.startsWith("!date^")) return unescaped(label ?? target);
  if (target.startsWith("!")) return mention("@", target.slice(1).split("^")[0]);
  if (!LINKED.test(target)) return unescaped(`<${angled}>`);
  return link(unescaped(target), unescaped(label ?? target.replace(/^mailto:/, "")));
}
