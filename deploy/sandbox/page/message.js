/** A message: who, when, what, what people made of it, and what one can do with it. */
import { Actions, own, reply } from "./message_actions.js";
import { avatar } from "./avatar.js";
import { blocks } from "./blocks.js";
import { h } from "./dom.js";
import { writeIn } from "./drafts.js";
import { Editor } from "./editing.js";
import { mrkdwn } from "./mrkdwn.js";
import { to } from "./route.js";
import { Reactions } from "./reactions.js";
import { symbol } from "./symbols.js";
import { Component, createRef } from "./vendor/preact.mjs";

const TOGETHER_S = 300; // messages of one person within this time share a name and a face
const DRAWN_FROM = ["said", "names", "goesOn", "under", "status"];

const dismissed = new Set(); // "channel:ts" of what only one saw, and wants to see no more

/**
 * One message. It is drawn again only when it, or what stands around it, has changed.
 *
 * said: as the sandbox tells it.
 * goesOn: it follows one of the same person: name and face are not said again.
 * under: it stands in the channel: replies are counted and linked.
 * status: what the app shows that it is doing in the thread.
 *
 * What one can do with it is drawn only while the pointer or the focus is on it.
 */
export class Message extends Component {
  state = { over: false, held: false, open: "", editing: false };
  row = createRef();

  shouldComponentUpdate(next, will) {
    const { said, state } = this.props;
    if (will !== this.state || DRAWN_FROM.some((name) => next[name] !== this.props[name])) return true;
    return next.state.me !== state.me || isMember(next.said, next.state) !== isMember(said, state);
  }

  over = () => this.setState({ over: true });
  out = () => this.setState({ over: false });
  held = (event) => this.setState({ held: event.target.matches(":focus-visible") });
  left = (event) => !this.row.current?.contains(event.relatedTarget) && this.setState({ held: false });
  setOpen = (open) => this.setState({ open });
  shut = (part) => this.state.open === part && this.setState({ open: "" }); // unless another one is open by now
  edit = () => own(this.props.said, this.props.state) && this.setState({ editing: true, open: "" });
  /** Afterwards one is where one was before: in the composer, or on the message. */
  done = (before) => {
    const back = () => (before.isConnected && before !== document.body ? before : this.row.current)?.focus();
    this.setState({ editing: false }, back);
  };

  dismiss = () => {
    dismissed.add(keyOf(this.props.said));
    this.setState({ over: false });
  };

  keyed = (event) => {
    const { said } = this.props;
    if (
      event.target !== this.row.current ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      said.ephemeral_to ||
      gone(said)
    )
      return;
    const menu = () => this.setOpen("menu");
    const act = {
      Enter: menu,
      " ": menu,
      r: () => this.setOpen("picker"),
      t: () => reply(said),
      e: this.edit,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  render({ said, names, state, goesOn, under, status }, { over, held, open, editing }) {
    if (dismissed.has(keyOf(said))) return null;
    const active =
      (over || held || open) && !editing && !said.ephemeral_to && !gone(said) && isMember(said, state);
    const classes = [
      "message",
      goesOn && "goes-on",
      said.ephemeral_to && "ephemeral",
      said.streaming && "streaming",
      (active || editing) && "active",
    ];
    return h(
      "li",
      {
        ref: this.row,
        class: classes.filter(Boolean).join(" "),
        tabindex: "-1",
        "data-ts": said.ts,
        "data-channel": said.channel,
        "data-user": said.user,
        onMouseEnter: this.over,
        onMouseLeave: this.out,
        onFocusIn: this.held,
        onFocusOut: this.left,
        onKeyDown: this.keyed,
        onedit: this.edit,
      },
      gone(said)
        ? bin()
        : goesOn
          ? h("span", { class: "gutter", "aria-hidden": "true" }, clock(said.ts))
          : avatar(said.user, names),
      h(
        "div",
        { class: "said" },
        said.ephemeral_to && only(this.dismiss),
        goesOn || gone(said)
          ? !gone(said) && h("span", { class: "hidden" }, names.user(said.user))
          : byline(said, names),
        editing ? h(Editor, { said, state, names, done: this.done }) : body(said, names),
        ...(said.files ?? []).map((one) => file(one, names)),
        said.reactions?.length > 0 &&
          h(Reactions, { said, names, me: state.me, fixed: !isMember(said, state) }),
        under && said.reply_count > 0 && replyLink(said, names),
        under &&
          status &&
          h("p", { class: "status", role: "status" }, `${names.user(state.app.user)} ${status}`),
      ),
      active &&
        h(Actions, { said, state, names, open, setOpen: this.setOpen, shut: this.shut, edit: this.edit }),
    );
  }
}

/** Whether a message goes on from the one before it. */
export function follows(before, one) {
  if (!before || before.reply_count || before.user !== one.user) return false;
  if (before.ephemeral_to !== one.ephemeral_to || before.reactions?.length) return false;
  return !one.blocks?.length && Number(one.ts) - Number(before.ts) < TOGETHER_S;
}

/** The time of a ts, as a clock shows it. */
function clock(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
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
    {
      class: "replies",
      ...to({ channel: said.channel, thread: said.ts }),
      onKeyDown: (event) => event.key === "Enter" && writeIn(`${said.channel}:${said.ts}`),
    },
    ...said.reply_users.slice(0, 3).map((id) => avatar(id, names, "tiny")),
    h("span", {}, `${said.reply_count} ${said.reply_count === 1 ? "reply" : "replies"}`),
  );
}

/** A picture is shown; whatever else was uploaded can only be saved. */
function file(one, names) {
  const title = one.title || one.name;
  const href = names.file(one.id);
  const image = ["image/png", "image/jpeg"].includes(one.mimetype);
  return h(
    "figure",
    { class: "file" },
    h("figcaption", {}, image ? title : h("a", { href, download: one.name }, title)),
    image && h("a", { href, target: "_blank", rel: "noopener" }, h("img", { src: href, alt: title })),
  );
}

const keyOf = (said) => `${said.channel}:${said.ts}`;
const gone = (said) => said.subtype === "tombstone";
const isMember = (said, state) => Boolean(state.channels[said.channel]?.is_member);

function body(said, names) {
  if (gone(said)) return h("div", { class: "body tombstone" }, "This message was deleted.");
  const words = said.blocks?.length ? blocks(said.blocks, names) : mrkdwn(said.text, names);
  const began = said.streaming && !words.length && h("div", { class: "rich" }, h("div", { class: "lines" })); // a caret alone
  return h(
    "div",
    { class: "body" },
    ...words,
    began,
    said.edited && h("small", { class: "edited" }, "(edited)"),
  );
}

/** What stands over a message that nobody else sees. */
function only(dismiss) {
  return h(
    "div",
    { class: "only" },
    "Only visible to you",
    h("button", { type: "button", class: "plain", onClick: dismiss }, "Dismiss message"),
  );
}

function bin() {
  return h("span", { class: "avatar bin" }, symbol("bin"));
}
