/** Light or dark: as the system has it, until somebody chooses. */
import { keep, kept } from "./preferences.js";
import { useEffect, useState } from "./vendor/hooks.mjs";

const SYSTEM = matchMedia("(prefers-color-scheme: dark)");

/** Show the theme that was chosen on an earlier visit. */
export function restore() {
  show(kept("theme", ""));
}

/** Whether it is dark now, and how to change that: `[dark, toggle]`. */
export function useTheme() {
  const [dark, setDark] = useState(isDark());
  useEffect(() => {
    const look = () => setDark(isDark());
    SYSTEM.addEventListener("change", look);
    return () => SYSTEM.removeEventListener("change", look);
  }, []);
  const toggle = () => {
    const theme = dark ? "light" : "dark";
    keep("theme", theme);
    show(theme);
    setDark(!dark);
  };
  return [dark, toggle];
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : SYSTEM.matches;
}

function show(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
