/** A channel or a direct conversation: what was said in it, and where one says more. */
import { call } from "./api.js";
import { avatar } from "./avatar.js";
import { Composer } from "./composer.js";
import { h } from "./dom.js";
import { Home } from "./home.js";
import { Message, follows } from "./message.js";
import { to } from "./route.js";
import { Messages } from "./roving.js";
import { Scroller } from "./scroller.js";
import { sign } from "./sidebar.js";
import { isWithApp, roots, typists } from "./state.js";
import { toast } from "./toasts.js";
import { useMemo, useState } from "./vendor/hooks.mjs";

const DAY = { weekday: "long", day: "numeric", month: "long" };

/** What is looked at, with the app's tabs where it is the app's. */
export function Conversation(props) {
  const { state, names, place } = props;
  const channel = state.channels[place.channel];
  if (!channel) return h("main", { class: "panel" });
  const ofApp = isWithApp(state, channel);
  const home = ofApp && place.tab === "home";
  return h(
    "main",
    { class: "panel", id: "conversation" },
    h(
      "header",
      { class: "top" },
      h(
        "button",
        {
          type: "button",
          class: "plain only-narrow",
          "aria-label": "Show the list",
          onClick: props.openMenu,
        },
        "☰",
        avatar(state.me, names, "tiny"),
      ),
      h(
        "h1",
        {},
        sign(channel) && h("span", { class: "sign", "aria-hidden": "true" }, sign(channel)),
        names.channel(channel.id),
      ),
      ofApp ? tabs(place) : h("span", { class: "members" }, `${channel.members.length} members`),
    ),
    home ? h("div", { class: "scroller" }, h(Home, props)) : h(Said, { ...props, channel }),
    !home &&
      (channel.is_member ? h(Composer, { ...props, channel, thread: "" }) : h(Join, { channel, names })),
  );
}

function tabs(place) {
  const tab = (name, label) =>
    h("a", { "aria-current": place.tab === name ? "page" : null, ...to({ tab: name, thread: "" }) }, label);
  return h(
    "nav",
    { class: "tabs", "aria-label": "The app's tabs" },
    tab("home", "Home"),
    tab("", "Messages"),
  );
}

function Said(props) {
  const { state, names, place, channel, ask } = props;
  const said = roots(state, channel.id);
  const { more } = state.loaded[channel.id] ?? {};
  const [read] = useState(channel.unread ? channel.last_read : null); // as it was when one came
  const today = dayOf(Date.now());
  // Of a long channel, making the rows takes longer than finding that none of them has changed.
  const rows = useMemo(
    () => rowsOf(said, { state, names, place, read, today }),
    [said, names, state.statuses, state.shortcuts, channel.is_member, today],
  );
  return h(
    Scroller,
    {
      label: `Messages in ${names.channel(channel.id)}`,
      more,
      bringMore: () => ask.older(channel.id),
      newest: said.at(-1)?.ts,
      oldest: said[0]?.ts,
    },
    h(
      Messages,
      {},
      ...rows,
      !said.length &&
        state.loaded[channel.id] &&
        h("li", { class: "empty" }, "Nothing has been said here yet."),
    ),
    h("p", { class: "typing", "aria-live": "polite" }, typingWords(typists(state, channel.id), names)),
  );
}

function rowsOf(said, { state, names, place, read, today }) {
  const firstNew = read !== null && said.find((one) => one.ts > read && one.user !== state.me);
  let before = null;
  return said.flatMap((one, at) => {
    const day = dayOf(Number(one.ts) * 1000);
    const [newDay, isNew] = [day !== before, one === firstNew];
    before = day;
    const goesOn = !newDay && !isNew && follows(said[at - 1], one);
    const status = state.statuses[`${one.channel}:${one.ts}`];
    return [
      newDay &&
        h(
          "li",
          { key: day, class: "day" },
          h("span", {}, day === today ? "Today" : new Date(day).toLocaleDateString("en-GB", DAY)),
        ),
      isNew && h("li", { key: "new", class: "new" }, h("span", {}, "New")),
      h(Message, { key: one.ts, said: one, names, state, place, goesOn, under: true, status }),
    ];
  });
}

/** "Jo Lindgren is typing …" */
export function typingWords(users, names) {
  if (!users.length) return "";
  return `${users.map(names.user).join(" and ")} ${users.length > 1 ? "are" : "is"} typing …`;
}

function Join({ channel, names }) {
  const join = () => call("conversations.join", { channel: channel.id }).catch(toast);
  return h(
    "div",
    { class: "join" },
    h("p", {}, `You are not in #${names.channel(channel.id)}.`),
    h("button", { type: "button", class: "button primary", onClick: join }, "Join channel"),
  );
}

/** The beginning of the day of a time, both in ms since the epoch. */
const dayOf = (ms) => new Date(ms).setHours(0, 0, 0, 0);
