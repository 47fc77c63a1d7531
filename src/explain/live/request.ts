import { type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import type { RequestQuestion, RequestTrace } from "../request/request-trace.ts";

export interface SentRequest {
  /** Absent: no answer came. */
  readonly status?: number;
  readonly agrees: boolean;
  /** What was seen, in a sentence. */
  readonly seen: string;
}

/** Milliseconds for which an answer is waited for. */
const patience = 5_000;

/**
 * Sends the request of a trace to a data plane, without a body, and compares the answer with what the model says. Of forwarded requests
 * any answer of a backend will do. Certificates are not checked: which is shown is part of the trace.
 */
export async function sendRequest(
  trace: RequestTrace,
  { method, url, headers, path }: RequestQuestion,
  address: string,
): Promise<SentRequest> {
  const secure = url.protocol === "https:";
  const options: RequestOptions & { servername?: string; rejectUnauthorized?: boolean } = {
    host: address,
    port: Number(url.port || (secure ? 443 : 80)),
    method,
    path: `${path ?? url.pathname}${url.search}`,
    headers: { ...headers, host: headers["host"] ?? url.host },
    agent: false,
    timeout: patience,
    ...(secure ? { servername: url.hostname, rejectUnauthorized: false } : {}),
  };
  const answer = await new Promise<number | string>((resolve) => {
    const answered = (response: IncomingMessage): void => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    };
    const request = (secure ? httpsRequest : httpRequest)(options, answered);
    // Without who listens, node tells nobody of an answer to CONNECT, and ends what became another protocol.
    for (const event of ["connect", "upgrade"]) request.on(event, answered);
    request.on("timeout", () => request.destroy(new Error("no answer came")));
    request.on("error", (error) => resolve(error.message));
    request.end();
  });
  if (typeof answer === "string") return { agrees: false, seen: `no answer from ${address}: ${answer}` };
  const failed = [502, 503, 504].includes(answer);
  const agrees = trace.verdict === "forward" ? !failed : trace.status === undefined || trace.status === answer;
  return { status: answer, agrees, seen: `${address} answered ${answer}` };
}
