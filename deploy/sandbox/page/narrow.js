/** Whether the window shows one thing at a time; the same width as in `page.css`. */
import { useEffect, useState } from "./vendor/hooks.mjs";

const NARROW = matchMedia("(max-width: 760px)");

/** Whether it does now; a component that asks is drawn again when that changes. */
export function useNarrow() {
  const [narrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const look = () => setNarrow(NARROW.matches);
    NARROW.addEventListener("change", look);
    return () => NARROW.removeEventListener("change", look);
  }, []);
  return narrow;
}
