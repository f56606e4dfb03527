/** The three signs that mean something in Slack's texts. https://docs.slack.dev/messaging/formatting-message-text */
const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const SIGNS = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };

/** Typed text as Slack takes it. */
export const escaped = (text) => text.replace(/[&<>]/g, (sign) => ESCAPED[sign]);

/** Slack's text as somebody reads it. */
export const unescaped = (text) => text.replace(/&(?:amp|lt|gt);/g, (entity) => SIGNS[entity]);
