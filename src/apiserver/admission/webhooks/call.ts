import { isObject, type WebhookClientConfig } from "../../../kube/index.ts";
import { originOf, readAnswer, webhookTarget, type Egress, type EgressAnswer } from "../../egress/index.ts";

/** A webhook could not be asked. The message is upstream's, without `failed calling webhook`. */
export class CallError extends Error {
  /** HTTP status that metrics show. */
  readonly code: number;

  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.name = "CallError";
    this.code = code;
  }
}

/** Bytes that an answer may have. */
const mostAnswer = 8 << 20;
/** Characters of an answer that an error message shows. */
const mostShown = 2048;

/**
 * Posts a review and reads the JSON that comes back. `timeout` in seconds. Throws CallError, worded as by client-go, which calls
 * webhooks upstream.
 */
export async function postReview(
  egress: Egress,
  config: WebhookClientConfig,
  review: object,
  timeout: number,
): Promise<unknown> {
  const { target, path: plain } = webhookTarget(config);
  const path = `${plain}?timeout=${timeout}s`;
  const failed = (why: string, cause?: unknown): CallError =>
    new CallError(`failed to call webhook: Post "${originOf(target)}${path}": ${why}`, 503, { cause });
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(new DOMException("too late", "TimeoutError")), timeout * 1000);
  try {
    const answer = await egress.open(target, {
      method: "POST",
      path,
      headers: {
        "content-type": "application/json",
        accept: "application/json, */*",
        "user-agent": "kube-apiserver-admission",
      },
      body: Buffer.from(JSON.stringify(review)),
      timeout: timeout * 1000,
      signal: ended.signal,
    });
    const body = await readAnswer(answer, mostAnswer);
    return bodyOf(answer, body.toString());
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw failed(ended.signal.aborted ? "context deadline exceeded" : (error as Error).message, error);
  } finally {
    clearTimeout(timer);
  }
}

function bodyOf({ status }: EgressAnswer, text: string): unknown {
  if (status < 200 || status > 206) throw new CallError(`failed to call webhook: ${serverFault(status, text)}`, status);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const why = `couldn't get version/kind; json parse error: ${(error as Error).message}`;
    throw new CallError(`failed to call webhook: ${why}`, 503, { cause: error });
  }
}

const faults: Readonly<Record<number, string>> = {
  400: "the server rejected our request for an unknown reason",
  401: "the server has asked for the client to provide credentials",
  403: "the server does not allow access to the requested resource",
  404: "the server could not find the requested resource",
  405: "the server does not allow this method on the requested resource",
  406: "the server was unable to respond with a content type that the client supports",
  409: "the server reported a conflict",
  410: "the server could not find the requested resource",
  415: "the body of the request was in an unknown format",
  422: "the server rejected our request due to an error in our request",
  429: "the server has received too many requests and has asked us to try again later",
  503: "the server is currently unable to handle the request",
  504: "the server was unable to return a response in the time allotted, but may still be processing the request",
};

/** An answer with an error code as client-go tells it. */
export function serverFault(status: number, text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (isObject(body) && body["kind"] === "Status" && typeof body["message"] === "string") return body["message"];
  } catch {
    // It is text.
  }
  const known = faults[status];
  if (known !== undefined) return known;
  if (status >= 500)
    return `an error on the server (${JSON.stringify(text.trim().slice(0, mostShown) || "unknown")}) has prevented the request from succeeding`;
  return `the server responded with the status code ${status} but did not return more information`;
}
