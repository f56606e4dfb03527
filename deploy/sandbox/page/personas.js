/** Who one is, and becoming somebody else: in this window, or in another one beside it. */
import { ledTo } from "./arrows.js";
import { avatar, hue } from "./avatar.js";
import { h } from "./dom.js";
import { address, go } from "./route.js";
import { may, role } from "./roles.js";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.mjs";

let came = false; // by the menu, which a new person's page begins without

/** The switcher: a button that says who one is, and a menu of everybody whom one can be. */
export function Personas({ state, names, place }) {
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  const button = useRef(null);
  useLayoutEffect(() => {
    const items = open ? [...box.current.querySelectorAll("[role=menuitemradio]")] : [];
    (items.find((one) => one.ariaChecked === "true") ?? items[0])?.focus();
  }, [open]);
  useEffect(() => {
    const away = (event) => !box.current?.contains(event.target) && setOpen(false);
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, []);

  useEffect(() => {
    if (came) button.current.focus();
    came = false;
  }, []);

  const close = () => {
    setOpen(false);
    button.current.focus();
  };
  const keys = (event) => {
    const to = open && moved(box.current, event.key);
    if (to) to.focus();
    else if (open && event.key === "Escape") close();
    else if (open && event.key === "Tab") return setOpen(false);
    else if (!open && ["ArrowDown", "ArrowUp"].includes(event.key)) setOpen(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const become = (name) => {
    close();
    came = true;
    go({ as: name }); // the place stays; `main.js` looks for another where they do not see it
  };

  return h(
    "div",
    { class: "personas", ref: box, onKeyDown: keys },
    h(
      "button",
      {
        type: "button",
        class: "persona-now",
        ref: button,
        "aria-haspopup": "menu",
        "aria-expanded": String(open),
        "aria-label": `You are ${called(state.me, names)}`,
        onClick: () => setOpen(!open),
      },
      h("span", { class: `persona-bar hue-${hue(state.me)}`, "aria-hidden": "true" }),
      avatar(state.me, names),
      h(
        "span",
        { class: "persona-words" },
        h("small", {}, `You are · ${role(names.person(state.me))}`),
        h("strong", {}, names.user(state.me)),
      ),
      h("span", { class: "persona-turn", "aria-hidden": "true" }, "Switch ▾"),
    ),
    open &&
      h(
        "ul",
        { class: "persona-menu", role: "menu", "aria-label": "Be somebody else" },
        ...state.personas.map((one) => row(one, names, place, become)),
      ),
  );
}

function row({ name, id }, names, place, become) {
  return h(
    "li",
    { key: id, role: "none" },
    h(
      "button",
      {
        type: "button",
        role: "menuitemradio",
        tabindex: "-1",
        "aria-checked": String(place.as === name),
        "aria-label": called(id, names),
        onClick: () => become(name),
      },
      avatar(id, names, "small"),
      h(
        "span",
        { class: "persona-words" },
        h("strong", {}, names.user(id)),
        h("small", {}, may(names.person(id))),
      ),
    ),
    h(
      "a",
      {
        role: "menuitem",
        tabindex: "-1",
        href: address({ as: name }),
        target: "_blank",
        rel: "noopener",
        title: "Open in a new window",
        "aria-label": `Open in a new window as ${names.user(id)}`,
      },
      "↗",
    ),
  );
}

/** "Jo Lindgren (asker)" */
function called(id, names) {
  return `${names.user(id)} (${role(names.person(id))})`;
}

/** Where a key leads in the menu: up and down its rows, right to a row's link and left again. */
function moved(box, key) {
  const rows = [...box.querySelectorAll("[role=menu] > li")];
  const row = rows.find((one) => one.contains(document.activeElement));
  const [person, link] = row?.children ?? [];
  const column = link === document.activeElement ? 1 : 0;
  if (key === "ArrowRight") return link;
  if (key === "ArrowLeft") return person;
  return ledTo(key, rows, row)?.children[column];
}
