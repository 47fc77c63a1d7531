import type { Metrics } from "../../../system/index.ts";

/** What is counted of calls to webhooks, under Kubernetes' names. */
export interface WebhookFigures {
  /** `code` is 200 for a request that was allowed. */
  called(call: Call, seconds: number, code: number, rejected: boolean): void;
  rejected(call: Call, error: "calling_webhook_error" | "apiserver_internal_error" | "no_error", code: number): void;
  failedOpen(call: Call): void;
  excluded(call: Call): void;
}

export interface Call {
  readonly name: string;
  readonly type: "admit" | "validating";
  readonly operation: string;
}

/** Names of webhooks come from users: beyond so many they are counted together. */
const mostNames = 200;
const codeOf = (code: number): string => String(Math.min(code, 600));

export function createWebhookFigures(metrics: Metrics): WebhookFigures {
  const names = new Set<string>();
  const nameOf = (name: string): string => {
    if (names.size < mostNames) names.add(name);
    return names.has(name) ? name : "other";
  };
  const duration = metrics.histogram(
    "apiserver_admission_webhook_admission_duration_seconds",
    "Seconds that webhooks took, by name, operation and type (validating or admit)",
    ["name", "type", "operation", "rejected"],
    [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25],
  );
  const requests = metrics.counter(
    "apiserver_admission_webhook_request_total",
    "Requests to webhooks, by name, operation, type and the code they ended with",
    ["name", "type", "operation", "code", "rejected"],
  );
  const rejections = metrics.counter(
    "apiserver_admission_webhook_rejection_count",
    "Requests that webhooks or their failures rejected",
    ["name", "type", "operation", "error_type", "rejection_code"],
  );
  const failOpen = metrics.counter(
    "apiserver_admission_webhook_fail_open_count",
    "Webhooks that failed and were passed over",
    ["name", "type"],
  );
  const exclusions = metrics.counter(
    "apiserver_admission_match_condition_exclusions_total",
    "Requests that match conditions kept from a webhook",
    ["name", "kind", "type", "operation"],
  );
  return {
    called({ name, type, operation }, seconds, code, wasRejected) {
      requests(nameOf(name), type, operation, codeOf(code), String(wasRejected)).inc();
      duration(nameOf(name), type, operation, String(wasRejected)).observe(seconds);
    },
    rejected: ({ name, type, operation }, error, code) =>
      rejections(nameOf(name), type, operation, error, codeOf(code)).inc(),
    failedOpen: ({ name, type }) => failOpen(nameOf(name), type).inc(),
    excluded: ({ name, type, operation }) => exclusions(nameOf(name), "webhook", type, operation).inc(),
  };
}
