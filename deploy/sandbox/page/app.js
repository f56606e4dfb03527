/** How everything is laid out. */
import { Conversation } from "./conversation.js";
import { Fragment, h } from "./dom.js";
import { Drawer } from "./drawer.js";
import { keep, kept } from "./preferences.js";
import { Modals } from "./modal.js";
import { useNarrow } from "./narrow.js";
import { to } from "./route.js";
import { Sidebar } from "./sidebar.js";
import { Strip } from "./status_bar.js";
import { Thread } from "./thread.js";
import { Toasts } from "./toasts.js";
import { useEffect, useState } from "./vendor/hooks.mjs";
import { Walk } from "./first_steps.js";

/**
 * The whole page.
 *
 * Every component gets `state` (see `state.js`), `names`, `place` (see `route.js`) and `ask` (see
 * `main.js`), and what is its own.
 */
export function App(props) {
  const { state, place } = props;
  const [menu, setMenu] = useState(false); // a narrow window shows the list over the rest
  const [drawer, setDrawer] = useState(kept("drawer", false));
  const narrow = useNarrow();
  const toggleDrawer = () => {
    keep("drawer", !drawer);
    setDrawer(!drawer);
    if (drawer) document.getElementById("drawer-button").focus();
  };
  useEffect(() => setMenu(false), [place.channel, place.thread, place.tab, place.as]);
  useEffect(() => void (document.title = title(props)));
  if (state.refused) return h(Nobody, { why: state.refused });
  if (!state.me) return h("p", { class: "waiting", role: "status" }, "Connecting …");
  const parts = { ...props, openMenu: () => setMenu(true) };
  return h(
    Fragment,
    {},
    h("a", { class: "skip", href: "#composer" }, "Skip to the message box"),
    h(
      "div",
      {
        class: `app${menu ? " with-menu" : ""}${place.thread ? " with-thread" : ""}${drawer ? " with-drawer" : ""}`,
      },
      h(Strip, { ...parts, drawer, toggleDrawer }),
      h(Sidebar, { ...parts, narrow, closeMenu: () => setMenu(false) }),
      narrow && menu && h("div", { class: "scrim", onClick: () => setMenu(false) }),
      narrow && h(Walk, { ...parts, slim: true }),
      h(Conversation, { ...parts, key: `${place.as}:${place.channel}` }),
      place.thread && h(Thread, { ...parts, key: `${place.as}:${place.channel}:${place.thread}` }),
      drawer && h(Drawer, { ...parts, narrow, close: toggleDrawer }),
    ),
    h(Modals, props),
    h(Toasts, {}),
    !state.connected &&
      h("p", { class: "lost", role: "alert" }, "The sandbox does not answer. Trying again …"),
  );
}

/** So that windows with different people can be told apart where only their names are shown. */
function title({ state, names, place }) {
  return [
    state.me && names.user(state.me),
    state.channels[place.channel] && names.channel(place.channel),
    "Mynah’s local Slack",
  ]
    .filter(Boolean)
    .join(" · ");
}

function Nobody({ why }) {
  return h(
    "main",
    { class: "waiting" },
    h("p", {}, why),
    h("a", to({ as: "", team: "", channel: "", thread: "", tab: "" }), "Begin as the asker"),
  );
}
