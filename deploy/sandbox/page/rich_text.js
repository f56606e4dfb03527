/** Rich text blocks. https://docs.slack.dev/reference/block-kit/blocks/rich-text-block */
import { h, link } from "./dom.js";
import { drawn, mention } from "./mrkdwn.js";

const WHOLE = {
  rich_text_section: (part, names) => h("div", { class: "lines" }, ...inline(part, names)),
  rich_text_quote: (part, names) => h("blockquote", { class: "lines" }, ...inline(part, names)),
  rich_text_preformatted: (part, names) => h("pre", {}, ...inline(part, names)),
  rich_text_list: list,
};
const INLINE = {
  text: (one) => one.text,
  link: (one) => link(one.url, one.text || one.url),
  user: (one, names) => mention("@", names.user(one.user_id)),
  usergroup: (one, names) => mention("@", names.group(one.usergroup_id)),
  channel: (one, names) => mention("#", names.channel(one.channel_id)),
  broadcast: (one) => mention("@", one.range),
  emoji: (one) => drawn(one.name),
  date: (one) => one.fallback || new Date(one.timestamp * 1000).toLocaleString(),
  color: (one) => h("code", {}, one.value),
};
const STYLES = [
  ["code", "code"],
  ["strike", "s"],
  ["underline", "u"],
  ["italic", "em"],
  ["bold", "strong"],
];

/** The block's parts, one under the other. */
export function richText(block, names) {
  return (block.elements ?? []).map((part) => WHOLE[part.type]?.(part, names) ?? unknown(part));
}

function inline(part, names) {
  return (part.elements ?? []).map((one) => styled(one, INLINE[one.type]?.(one, names) ?? unknown(one)));
}

function styled(one, node) {
  const tags = STYLES.filter(([name]) => one.style?.[name]).map(([, tag]) => tag);
  return tags.reduce((inner, tag) => h(tag, {}, inner), node);
}

function list(part, names) {
  const tag = part.style === "ordered" ? "ol" : "ul";
  const start = tag === "ol" && part.offset ? part.offset + 1 : null;
  const depth = Math.min(Number(part.indent) || 0, 8);
  const items = (part.elements ?? []).map((item) => h("li", {}, ...inline(item, names)));
  return h(tag, { start, class: `depth-${depth}` }, ...items);
}

function unknown(part) {
  return h("span", { class: "unknown" }, `(${part.type})`);
}
