/** Keys in menus and toolbars, which are one stop for Tab. https://www.w3.org/WAI/ARIA/apg/practices/keyboard-interface/ */
export const DOWN = { ArrowUp: -1, ArrowDown: 1 };
export const ACROSS = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * The one of `all` that a key leads to, around at the ends; undefined where it leads nowhere.
 *
 * here: where one is; what is none of them stands before the first.
 */
export function ledTo(key, all, here, steps = DOWN) {
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  if (key in steps) return all.at(Math.max(all.indexOf(here) + steps[key], -1) % all.length);
}
