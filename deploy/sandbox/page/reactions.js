/** What people made of a message, and making something of it. */
import { call } from "./api.js";
import { h } from "./dom.js";
import { face } from "./emoji.js";
import { drawn } from "./mrkdwn.js";
import { toast } from "./toasts.js";

const SO_ALREADY = ["already_reacted", "no_reaction"];

/** React to a message, or take it back where one has reacted so already. */
export async function toggle(said, name, me) {
  const method = has(said, name, me) ? "reactions.remove" : "reactions.add";
  // A second press before the page has heard of the first, or one in another window, is no mistake.
  const missed = (error) => SO_ALREADY.includes(error.code) || toast(error);
  await call(method, { channel: said.channel, timestamp: said.ts, name }).catch(missed);
}

/** The reactions of a message, each with a button to join in. */
export function Reactions({ said, names, me, fixed }) {
  return h("div", { class: "reactions" }, ...said.reactions.map((one) => pill(one, said, names, me, fixed)));
}

/** fixed: whether one may only look, as where one is no member. */
function pill({ name, users, count }, said, names, me, fixed) {
  const mine = users.includes(me);
  const others = together(users.filter((id) => id !== me).map(names.user));
  return h(
    "button",
    {
      key: name,
      type: "button",
      class: "reaction",
      disabled: fixed,
      "aria-pressed": String(mine),
      "aria-label": `${face(bare(name)) ?? name} ${count}, ${mine ? "you reacted" : `${others} reacted`}${mine && others ? `, and so did ${others}` : ""}`,
      title: `${mine ? together(["You", others].filter(Boolean)) : others} reacted with :${name}:`,
      onClick: () => toggle(said, name, me),
    },
    drawn(bare(name)),
    h("b", {}, String(count)),
  );
}

const has = (said, name, me) => said.reactions?.some((one) => one.name === name && one.users.includes(me));
const bare = (name) => name.split("::")[0];

function together(people) {
  return people.length < 2 ? people.join("") : `${people.slice(0, -1).join(", ")} and ${people.at(-1)}`;
}
