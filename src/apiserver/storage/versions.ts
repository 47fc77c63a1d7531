import { statusError, StatusError } from "../../kube/index.ts";

/** 504: the version asked for does not exist yet; clients read the cause and list anew. */
export function tooLarge(wanted: number | string, current: number): StatusError {
  return statusError("Timeout", `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1,
  });
}

/** 410: changes after the version asked for are no longer remembered. */
export function expired(wanted: number, oldest: number): StatusError {
  return statusError("Expired", `too old resource version: ${wanted} (${oldest})`);
}

/** 410: a list as of a version that is no longer known. */
export function expiredList(): StatusError {
  return statusError("Expired", "The resourceVersion for the provided list is too old.");
}

/** 410 for a continue token; `metadata.continue` goes on with the newest state. */
export function expiredContinue(token: string): StatusError {
  const { status } = statusError(
    "Expired",
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without " +
      "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. " +
      "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or " +
      "deleted between the time the first chunk was returned and now may show up in the list.",
  );
  return new StatusError({ ...status, metadata: { continue: token } });
}
