/** A message as nodes: who, when, what, and what people made of it. */
import { blocks } from "./blocks.js";
import { h } from "./dom.js";
import { drawn, mrkdwn } from "./mrkdwn.js";

/**
 * One message.
 *
 * message: as `GET /page/state` tells it.
 * names: as `page.js` makes them; `person(id)` is the user object or undefined.
 * goesOn: it follows one of the same person: name and face are not said again.
 */
export function message(said, names, { goesOn = false } = {}) {
  const body = said.blocks?.length ? blocks(said.blocks, names) : mrkdwn(said.text, names);
  return h(
    "article",
    { class: `message${goesOn ? " goes-on" : ""}${said.ephemeral_to ? " ephemeral" : ""}${said.streaming ? " streaming" : ""}`, "data-ts": said.ts, "data-user": said.user },
    goesOn ? h("span", { class: "gutter" }, clock(said.ts)) : avatar(said.user, names),
    h(
      "div",
      { class: "said" },
      said.ephemeral_to && h("div", { class: "only" }, `Only visible to ${names.user(said.ephemeral_to)}`),
      !goesOn && byline(said, names),
      h("div", { class: "body" }, ...body, said.edited && h("small", { class: "edited" }, "(edited)")),
      ...(said.files ?? []).map((one) => file(one, names)),
      ...(said.reactions?.length ? [reactions(said.reactions, names)] : []),
    ),
  );
}

/** What stands between the first message of a thread and its replies. */
export function replyCount(said) {
  const count = said.reply_count ?? 0;
  return h("div", { class: "reply-count" }, `${count} ${count === 1 ? "reply" : "replies"}`);
}

/** The face of somebody: a picture for the app, initials for people. */
export function avatar(id, names) {
  const who = names.person(id);
  if (who?.is_bot) return h("img", { class: "avatar", src: "/page/mynah.svg", alt: "" });
  const shown = names.user(id);
  const initials = shown.split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((word) => word[0].toUpperCase());
  return h("span", { class: `avatar hue-${hue(id)}`, "aria-hidden": "true" }, initials.join(""));
}

/** The time of a ts, as a clock shows it. */
export function clock(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function byline(said, names) {
  const who = names.person(said.user);
  return h(
    "header",
    { class: "byline" },
    h("strong", {}, names.user(said.user)),
    who?.is_bot && h("span", { class: "badge" }, "APP"),
    h("time", {}, clock(said.ts)),
  );
}

function file(one, names) {
  const shown = one.mimetype?.startsWith("image/")
    ? h("img", { src: names.file(one.id), alt: one.title })
    : null;
  return h("figure", { class: "file" }, h("figcaption", {}, one.title || one.name), shown);
}

function reactions(list, names) {
  const pills = list.map(({ name, users, count }) =>
    h("span", { class: "reaction", title: users.map((id) => names.user(id)).join(", ") }, drawn(name.split("::")[0]), h("b", {}, String(count))),
  );
  return h("div", { class: "reactions" }, ...pills);
}

function hue(id) {
  return [...id].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 1013, 7) % 6;
}
