/** A message: who, when, what, what people made of it, and what one can do with it. */
import { blocks } from "./blocks.js";
import { h } from "./dom.js";
import { drawn, mrkdwn } from "./mrkdwn.js";
import { to } from "./places.js";
import { Component } from "./vendor/preact.mjs";

const TOGETHER_S = 300; // messages of one person within this time share a name and a face
const DRAWN_FROM = ["said", "names", "goesOn", "under", "status"];

/**
 * One message. It is drawn again only when it, or what stands around it, has changed.
 *
 * said: as the sandbox tells it.
 * goesOn: it follows one of the same person: name and face are not said again.
 * under: it stands in the channel: replies are counted and linked.
 * status: what the app shows that it is doing in the thread.
 */
export class Message extends Component {
  shouldComponentUpdate(next) {
    return DRAWN_FROM.some((name) => next[name] !== this.props[name]) || next.state.me !== this.props.state.me;
  }

  render({ said, names, state, goesOn, under, status }) {
    const body = said.blocks?.length ? blocks(said.blocks, names) : mrkdwn(said.text, names);
    const classes = ["message", goesOn && "goes-on", said.ephemeral_to && "ephemeral", said.streaming && "streaming"];
    return h(
      "li",
      { class: classes.filter(Boolean).join(" "), "data-ts": said.ts, "data-channel": said.channel, "data-user": said.user },
      goesOn ? h("span", { class: "gutter", "aria-hidden": "true" }, clock(said.ts)) : avatar(said.user, names),
      h(
        "div",
        { class: "said" },
        said.ephemeral_to && h("div", { class: "only" }, "Only visible to you"),
        goesOn ? h("span", { class: "hidden" }, names.user(said.user)) : byline(said, names),
        h("div", { class: "body" }, ...body, said.edited && h("small", { class: "edited" }, "(edited)")),
        ...(said.files ?? []).map((one) => file(one, names)),
        said.reactions?.length > 0 && reactions(said.reactions, names, state.me),
        under && said.reply_count > 0 && replyLink(said, names),
        under && status && h("p", { class: "status", role: "status" }, `${names.user(state.app.user)} ${status}`),
      ),
    );
  }
}

/** Whether a message goes on from the one before it. */
export function follows(before, one) {
  if (!before || before.reply_count || before.user !== one.user) return false;
  if (before.ephemeral_to !== one.ephemeral_to || before.reactions?.length) return false;
  return !one.blocks?.length && Number(one.ts) - Number(before.ts) < TOGETHER_S;
}

/** The face of somebody: a picture for the app, initials for people. */
export function avatar(id, names, size = "") {
  const who = names.person(id);
  if (who?.is_bot) return h("img", { class: `avatar ${size}`, src: "/page/mynah.svg", alt: "" });
  const shown = names.user(id);
  const initials = shown.split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((word) => word[0].toUpperCase());
  return h("span", { class: `avatar ${size} hue-${hue(id)}`, "aria-hidden": "true" }, initials.join(""));
}

/** The time of a ts, as a clock shows it. */
export function clock(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function byline(said, names) {
  return h(
    "header",
    { class: "byline" },
    h("strong", {}, names.user(said.user)),
    names.person(said.user)?.is_bot && h("span", { class: "badge" }, "APP"),
    h("time", {}, clock(said.ts)),
  );
}

function replyLink(said, names) {
  return h(
    "a",
    { class: "replies", ...to({ channel: said.channel, thread: said.ts }) },
    ...said.reply_users.slice(0, 3).map((id) => avatar(id, names, "tiny")),
    h("span", {}, `${said.reply_count} ${said.reply_count === 1 ? "reply" : "replies"}`),
  );
}

function file(one, names) {
  const image = one.mimetype?.startsWith("image/");
  return h(
    "figure",
    { class: "file" },
    h("figcaption", {}, one.title || one.name),
    image && h("a", { href: names.file(one.id), target: "_blank", rel: "noopener" }, h("img", { src: names.file(one.id), alt: one.title || one.name })),
  );
}

function reactions(list, names, _me) {
  const pills = list.map(({ name, users, count }) =>
    h("span", { class: "reaction", title: users.map((id) => names.user(id)).join(", ") }, drawn(name.split("::")[0]), h("b", {}, String(count))),
  );
  return h("div", { class: "reactions" }, ...pills);
}

function hue(id) {
  return [...id].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 1013, 7) % 6;
}
