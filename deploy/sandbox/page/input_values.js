/** What an input on the page holds, in the form in which the sandbox takes it. */

/** The value of an element that `elements.js` has made: a text, an id, a list of them, or null. */
export function chosen(field) {
  const kind = field.dataset.kind;
  if (kind === "checkboxes") return ticked(field);
  if (kind === "radio_buttons") return ticked(field)[0] ?? null;
  if (field.multiple) return [...field.selectedOptions].map((option) => option.value);
  if (kind === "datetimepicker") return field.value ? Math.floor(new Date(field.value) / 1000) : null;
  return field.value || null;
}

/** Remember what an input holds: returns what puts it back. */
export function kept(field) {
  const parts = partsOf(field).map(([part, now]) => [part, now, part[now]]);
  return () => parts.forEach(([part, now, value]) => (part[now] = value));
}

/** Put an input back to what it held when it was drawn. */
export function reset(field) {
  for (const [part, now, before] of partsOf(field)) part[now] = part[before];
  if (field.options && !field.multiple && !field.querySelector("[selected]")) field.value = "";
}

/** The nodes that hold a value: each with the names of what it holds, and of what it held first. */
function partsOf(field) {
  if (field.options) return [...field.options].map((option) => [option, "selected", "defaultSelected"]);
  const boxes = [...field.querySelectorAll("input")];
  return boxes.length
    ? boxes.map((box) => [box, "checked", "defaultChecked"])
    : [[field, "value", "defaultValue"]];
}

function ticked(field) {
  return [...field.querySelectorAll("input:checked")].map((box) => box.value);
}
