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
