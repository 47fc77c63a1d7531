import { statusError, StatusError } from "../kube/index.ts";
import { StoreError } from "../store/index.ts";
import type { Logger } from "../system/index.ts";
import type { ApiRequest } from "./handler.ts";

/** Every error as the Status that tells it. What should not happen is logged and answered with 500. */
export function statusOf(error: unknown, request: ApiRequest, log: Logger): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof StoreError && error.code === "TOO_LARGE")
    return statusError("RequestEntityTooLarge", `Request entity too large: ${error.message}`);
  if (error instanceof StoreError) {
    const known = storeStatus(error);
    if (known) return known;
  }
  log.error({ method: request.method, path: request.path, error: errorText(error) }, "request failed");
  return statusError(
    "InternalError",
    `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`,
    {
      causes: [{ message: error instanceof Error ? error.message : String(error) }],
    },
  );
}

/** What a client is told when the store did not do its part. Undefined: an internal error. */
function storeStatus({ code, message }: StoreError): StatusError | undefined {
  switch (code) {
    case "CLOSED":
    case "UNAVAILABLE":
      return unavailable(`the store is not available: ${message}`);
    case "OUTCOME_UNKNOWN":
      return statusError("Timeout", `the request may or may not have taken effect: ${message}`, {
        retryAfterSeconds: 1,
      });
    case "TOO_MANY_REQUESTS":
      return statusError("TooManyRequests", `the store has too much to do: ${message}`, { retryAfterSeconds: 1 });
    default:
      return undefined;
  }
}

/** 503 that asks to come again. */
export function unavailable(message: string): StatusError {
  return statusError("ServiceUnavailable", message, { retryAfterSeconds: 1 });
}

/** An error with where it came from, for the log. */
export function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
