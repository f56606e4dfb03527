/** What somebody has begun to write, by place (`channel:thread`), while they look elsewhere. */
const begun = new Map();
const drawn = new Map(); // place → {change, focus} of the box that is drawn there
let wanted = null; // {place, text}: the place in which somebody is about to write

/** The text that somebody began in a place. */
export const draft = (who, place) => begun.get(`${who}:${place}`) ?? "";

/** Keep what somebody writes in a place. */
export function keepDraft(who, place, text) {
  if (text) begun.set(`${who}:${place}`, text);
  else begun.delete(`${who}:${place}`);
}

/** A box is drawn in a place from now on; returns what ends that. */
export function attach(place, box) {
  drawn.set(place, box);
  return () => drawn.delete(place);
}

/** Write in a place that is open, or that opens next; `text` replaces what is there. */
export function writeIn(place, text = null) {
  const box = drawn.get(place);
  wanted = box ? null : { place, text };
  if (box && text !== null) box.change(text);
  box?.focus();
}

/** What somebody wants to write in the place that is drawn now: `{text}` once, else null. */
export function takeWanted(place) {
  const found = wanted?.place === place ? wanted : null;
  if (found) wanted = null;
  return found;
}
