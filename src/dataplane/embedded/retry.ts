import type { Retry, RetryFailure } from "../../routing/index.ts";

const idempotent = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** True when a request means the same whether it is asked once or twice (RFC 9110 section 9.2.2). */
export const isIdempotent = (method: string): boolean => idempotent.has(method);

const lost = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE", "UND_ERR_CLOSED", "UND_ERR_DESTROYED"]);
const late = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);

const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? "";

/**
 * True when a failed attempt may be repeated on another endpoint (RFC 9110 section 9.2.2). What was never sent may
 * always be; what was sent only when its method is idempotent and the connection was lost without an answer, as
 * happens when an endpoint closes an idle connection just as it is used again.
 */
export function mayRetry(error: Error, method: string, sent: boolean): boolean {
  if (!sent) return !codeOf(error).startsWith("UND_ERR_INVALID");
  return idempotent.has(method) && lost.has(codeOf(error));
}

/** True when the endpoint was too slow, and not unreachable. */
export function timedOut(error: Error): boolean {
  return late.has(codeOf(error));
}

/** What a try was, of which there may be another. */
export interface FailedTry {
  /** The code of its answer, or why there is none. */
  readonly why: number | Error;
  readonly method: string;
  /** The endpoint may have begun with it. */
  readonly sent: boolean;
  /** Milliseconds since the first try. */
  readonly elapsed: number;
}

/** True when a route's own conditions ask for another try. How many there were is not looked at. */
export function asksAgain({ codes, only }: Retry, { why, method, sent, elapsed }: FailedTry): boolean {
  if (only && only.within > 0 && elapsed >= only.within) return false;
  if (only && sent && !only.nonIdempotent && !idempotent.has(method)) return false;
  if (typeof why === "number") return codes.includes(why);
  const failure = failureOf(why);
  return only === undefined || (failure !== undefined && only.failures.includes(failure));
}

/** `undefined`: the request itself is no good. */
function failureOf(error: Error): RetryFailure | undefined {
  const code = codeOf(error);
  if (timedOut(error)) return "timeout";
  if (error.name === "HTTPParserError" || code.startsWith("HPE_") || code === "UND_ERR_HEADERS_OVERFLOW")
    return "invalid";
  return code.startsWith("UND_ERR_INVALID") ? undefined : "error";
}
