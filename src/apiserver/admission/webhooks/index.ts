export { createWebhookFigures } from "./figures.ts";
export type { Conditions, WebhookOptions } from "./dispatch.ts";
export { mutatingWebhooks } from "./mutating.ts";
export { validatingWebhooks } from "./validating.ts";
export { webhookConditions } from "./conditions.ts";
