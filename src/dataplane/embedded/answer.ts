import { ServerResponse, STATUS_CODES } from "node:http";
import type { Field } from "../../routing/index.ts";
import { endAnswer, hasBody, type Incoming, type Outgoing } from "./exchange.ts";
import { headerObject } from "./headers.ts";

/** An answer of the proxy itself. */
export interface Answer {
  readonly status: number;
  /** One sentence for the client. It tells nothing about what is behind the proxy. */
  readonly text: string;
  /** Seconds. */
  readonly retryAfter?: number;
  /** Header fields beside those of every answer. */
  readonly fields?: readonly Field[];
}

export const answers = {
  unmatched: { status: 404, text: "No route matches this host and path." },
  misdirected: { status: 421, text: "This connection was made for another host." },
  misconfigured: { status: 500, text: "The route for this host and path cannot be served as it is written." },
  noEndpoints: { status: 503, text: "No endpoint is ready to take this request.", retryAfter: 1 },
  overloaded: { status: 503, text: "All endpoints are busy.", retryAfter: 1 },
  unreachable: { status: 502, text: "The endpoint did not answer." },
  timeout: { status: 504, text: "The endpoint did not answer in time." },
  bodyTooLarge: { status: 413, text: "The request body is too large." },
} as const satisfies Record<string, Answer>;

/** Milliseconds that a client has for an answer of the proxy itself: some hundred bytes. */
const patience = 5_000;

/** What an answer of the proxy itself says: header fields (name, value, name, value), and a body unless it is empty. */
export function answerMessage(
  answer: Answer,
  requestId: string,
): { readonly fields: string[]; readonly body: string | undefined } {
  const empty = answer.status === 204;
  const body = `${answer.status} ${STATUS_CODES[answer.status] ?? ""}\n${answer.text}\nRequest ${requestId}\n`;
  const about = ["content-type", "text/plain; charset=utf-8", "content-length", String(Buffer.byteLength(body))];
  const fields = [
    ...(empty ? [] : about),
    ...(answer.fields ?? []).flatMap(({ name, value }) => [name, value]),
    "x-content-type-options",
    "nosniff",
    "cache-control",
    "no-store",
    "x-request-id",
    requestId,
    ...(answer.retryAfter ? ["retry-after", String(answer.retryAfter)] : []),
  ];
  return { fields, body: empty ? undefined : body };
}

/** Sends an answer, unless one has begun already; returns the bytes of its body. A request whose body was not read to its end loses its connection. */
export function sendAnswer(request: Incoming, response: Outgoing, answer: Answer, requestId: string): number {
  if (response.headersSent || response.destroyed) return 0;
  const { fields, body } = answerMessage(answer, requestId);
  if (response instanceof ServerResponse && hasBody(request) && !request.complete) fields.push("connection", "close");
  sendHead(response, answer.status, undefined, fields);
  const sent = request.method === "HEAD" ? undefined : (body ?? "");
  endAnswer(request, response, patience, sent);
  return sent === undefined ? 0 : Buffer.byteLength(sent);
}

/** Writes status and header fields in the way of the response's protocol. */
export function sendHead(
  response: Outgoing,
  status: number,
  statusMessage: string | undefined,
  headers: readonly string[],
): void {
  if (!(response instanceof ServerResponse)) response.writeHead(status, headerObject(headers));
  else if (statusMessage === undefined) response.writeHead(status, headers as string[]);
  else response.writeHead(status, statusMessage, headers as string[]);
}
