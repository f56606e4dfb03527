/** Emoji by the names that Slack knows them by; `emoji.json` says where the names are from. */

let faces = {};

/** Fetch the names; until then `:names:` are shown as they are. */
export async function learn() {
  faces = (await (await fetch("/page/emoji.json")).json()).names;
}

/** The character of a name such as `white_check_mark`, or null. */
export function face(name) {
  return Object.hasOwn(faces, name) ? faces[name] : null;
}

/** The names with `text` in them, those that begin with it first. */
export function find(text) {
  const wanted = text.toLowerCase().replaceAll(":", "").replaceAll(" ", "_");
  const found = Object.keys(faces).filter((name) => name.includes(wanted));
  return found.sort((a, b) => b.startsWith(wanted) - a.startsWith(wanted));
}
