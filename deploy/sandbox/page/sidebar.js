/** The list at the left: who one is, and where one can go. */
import { call } from "./api.js";
import { avatar } from "./avatar.js";
import { h } from "./dom.js";
import { Personas } from "./personas.js";
import { go, to } from "./route.js";
import { isWithApp } from "./state.js";
import { toast } from "./toasts.js";
import { Walk, WalkBack } from "./first_steps.js";

/** The list. `closeMenu` puts it away in a narrow window. */
export function Sidebar(props) {
  const { state, names, place, narrow, closeMenu } = props;
  const channels = Object.values(state.channels);
  const rooms = channels.filter((one) => one.type !== "im").sort((a, b) => a.name.localeCompare(b.name));
  const direct = channels.filter((one) => one.type === "im" && one.is_member && !isWithApp(state, one));
  return h(
    "nav",
    {
      class: "side",
      "aria-label": "Conversations",
      onKeyDown: (event) => event.key === "Escape" && closeMenu(),
    },
    h(
      "header",
      {},
      h("img", { class: "avatar small", src: "/page/mynah.svg", alt: "" }),
      h("strong", {}, "Local Slack"),
      h(
        "button",
        { type: "button", class: "plain only-narrow", "aria-label": "Close the list", onClick: closeMenu },
        "✕",
      ),
    ),
    h(Personas, props),
    !narrow && h(Walk, props),
    h(WalkBack, props),
    h("h2", {}, "Channels"),
    h(
      "ul",
      {},
      ...rooms.map((one) => h("li", { key: one.id }, entry(one, sign(one), names.channel(one.id), place))),
    ),
    h("h2", {}, "Direct messages"),
    h(
      "ul",
      {},
      h("li", {}, appEntry(state, names, place)),
      ...direct.map((one) => h("li", { key: one.id }, entry(one, "●", names.channel(one.id), place))),
    ),
  );
}

/** What stands before a channel's name. */
export function sign(channel) {
  if (channel.type === "im") return "";
  return channel.is_private ? "🔒" : "#";
}

function entry(channel, before, name, place) {
  const here = place.channel === channel.id;
  const unread = !here && channel.unread > 0;
  const classes = ["entry", here && "here", unread && "unread", !channel.is_member && "not-joined"];
  return h(
    "a",
    {
      class: classes.filter(Boolean).join(" "),
      "aria-current": here ? "page" : null,
      "data-channel-link": channel.id,
      ...to({ channel: channel.id, thread: "", tab: "" }),
    },
    h("span", { class: "sign", "aria-hidden": "true" }, before),
    h("span", { class: "name" }, name),
    unread &&
      channel.mentions > 0 &&
      h("span", { class: "count", "aria-label": `${channel.mentions} for you` }, String(channel.mentions)),
    unread && h("span", { class: "hidden" }, "unread"),
  );
}

/** The conversation with the app is always in the list, and opened by coming to it. */
function appEntry(state, names, place) {
  const known = Object.values(state.channels).find((one) => isWithApp(state, one));
  if (known) return entry(known, avatarOf(state, names), names.user(state.app.user), place);
  const open = async () => {
    try {
      const { channel } = await call("conversations.open", { users: state.app.user });
      go({ channel: channel.id, thread: "", tab: "" });
    } catch (error) {
      toast(error);
    }
  };
  return h(
    "button",
    { type: "button", class: "entry", onClick: open },
    h("span", { class: "sign" }, avatarOf(state, names)),
    h("span", { class: "name" }, names.user(state.app.user)),
  );
}

const avatarOf = (state, names) => avatar(state.app.user, names, "tiny");
