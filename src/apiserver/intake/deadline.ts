import { parseDuration, statusError } from "../../kube/index.ts";
import type { ApiResponse, Origin } from "../handler.ts";

/** Milliseconds that a request has at most, as upstream's `--request-timeout`. */
export const requestTime = 60_000;

/**
 * Milliseconds that a request has by its query `timeout`, which can only be shorter than usual. Throws StatusError BadRequest for one that is
 * no duration of Go's.
 */
export function timeOf(query: URLSearchParams): number {
  const text = query.get("timeout");
  if (!text) return requestTime;
  const given = parseDuration(text);
  if (given === undefined) {
    const why = /^[-+]?[\d.]+$/.test(text) ? "missing unit in duration" : "invalid duration";
    throw statusError(
      "BadRequest",
      `invalid timeout specified in the request URL - time: ${why} ${JSON.stringify(text)}`,
    );
  }
  return given > 0 && given < requestTime ? given : requestTime;
}

/** The answer, or a StatusError Timeout when it is not made in time; then `late` is told and the request is given up. */
export function withDeadline(
  origin: Origin,
  time: number,
  work: Promise<ApiResponse>,
  late: () => void,
): Promise<ApiResponse> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const error = statusError("Timeout", "Timeout: request did not complete within the allotted timeout", {});
      late();
      reject(error);
      origin.giveUp(error);
    }, time);
    work.then(
      (response) => {
        clearTimeout(timer);
        resolve(response);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
