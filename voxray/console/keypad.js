// The keys of a telephone.

import { element } from "./draw.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const NAMES = { "*": "star", "#": "hash" };
const SHOWN = 16;

/** `press(key)` is called for each key, by mouse or keyboard. */
export function makeKeypad(panel, opener, pressed, press) {
  const hit = (key) => {
    pressed.textContent = (pressed.textContent + key).slice(-SHOWN);
    press(key);
  };
  const show = (shown) => {
    panel.hidden = !shown;
    opener.setAttribute("aria-expanded", String(shown));
    if (shown) pressed.textContent = "";
    (shown ? panel.querySelector("button") : opener).focus();
  };
  for (const key of KEYS) {
    const button = element("button", "", key);
    button.type = "button";
    if (NAMES[key]) button.setAttribute("aria-label", NAMES[key]);
    button.addEventListener("click", () => hit(key));
    panel.append(button);
  }
  opener.addEventListener("click", () => show(panel.hidden));
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(false);
    else if (KEYS.includes(event.key) && !event.ctrlKey && !event.metaKey) hit(event.key);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Escape would silence the agent, too
  });
}
