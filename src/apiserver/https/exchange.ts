import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { isIP } from "node:net";
import type { TLSSocket } from "node:tls";
import { statusError, StatusError } from "../../kube/index.ts";
import { impersonationOf, type Authenticator, type ClientCertificate } from "../authentication/index.ts";
import type { Logger } from "../../system/index.ts";
import type { ApiHandler, ApiRequest, ApiResponse, Origin } from "../handler.ts";
import { errorResponse } from "../request/respond.ts";
import { drain, readBody } from "./body.ts";
import { webSocketAuthorization, type Upgrade } from "./upgrade.ts";
import { writeAnswer, type HttpAnswer } from "./write.ts";

/** Headers that the API itself looks at. */
const read = ["accept", "content-type", "if-none-match", "user-agent"];

const methods: ReadonlySet<string> = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]);

/** Why requests are given up. One for all: to make an error for each costs more than much of an answer. */
const clientGone = new Error("the client has gone");

export interface ExchangeParts {
  readonly handler: ApiHandler;
  readonly authenticator: Authenticator;
  readonly certificateOf: (socket: TLSSocket) => ClientCertificate | undefined;
  readonly log: Logger;
  /** No further request is wanted: connections of HTTP/1.1 end with their answers. */
  readonly closing: () => boolean;
}

/** One request and its answer, from socket to socket; `upgrade` tells that the client would speak another protocol after it. Never throws. */
export async function exchange(
  { handler, authenticator, certificateOf, log, closing }: ExchangeParts,
  incoming: IncomingMessage | Http2ServerRequest,
  outgoing: ServerResponse | Http2ServerResponse,
  upgrade?: Upgrade,
): Promise<void> {
  const gone = new AbortController();
  let answered = false;
  const leaves = (): void => {
    if (!answered) gone.abort(clientGone);
  };
  outgoing.on("close", leaves);
  outgoing.on("error", leaves);
  const { headers, method = "GET", url = "/" } = incoming;
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  };
  const ends: (() => void)[] = [];
  const id = auditId(header("audit-id"));
  const origin: Origin = {
    auditId: id,
    url,
    addresses: () => addressesOf(headers, socketOf(incoming)),
    headers: { "audit-id": id },
    onEnd: (listener) => void ends.push(listener),
    giveUp: (reason) => gone.abort(reason),
  };
  const options = {
    method,
    accept: header("accept"),
    acceptEncoding: header("accept-encoding"),
    headers: origin.headers,
    signal: gone.signal,
  };
  try {
    const response = await answer();
    if (closing() && incoming.httpVersionMajor === 1) origin.headers["connection"] = "close";
    if (response.type === "upgrade") return await (upgrade?.accept(response, options.headers) ?? response.drop());
    await writeAnswer(outgoing as unknown as HttpAnswer, response, options);
    answered = true;
  } catch (error) {
    if (!gone.signal.aborted) log.warn({ error: String(error), path: url }, "an answer broke off");
    outgoing.destroy();
  } finally {
    for (const end of ends) end();
    if (incoming.complete) incoming.resume();
    else drain(incoming);
  }

  async function answer(): Promise<ApiResponse> {
    const shown: Record<string, string | undefined> = {};
    for (const name of read) shown[name] = header(name);
    try {
      const { path, query } = parseUrl(url);
      if (!methods.has(method))
        throw statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
      const user = await authenticator.authenticate({
        authorization: header("authorization") ?? (upgrade ? webSocketAuthorization(incoming) : undefined),
        rawHeaders: incoming.rawHeaders,
        certificate: certificateOf(socketOf(incoming)),
      });
      const impersonation = impersonationOf(incoming.rawHeaders);
      const reading = method === "GET" || method === "HEAD";
      const passedOn = handler.passesOn?.({ method: method as ApiRequest["method"], path, query }) ?? false;
      return await handler.handle({
        method: method as ApiRequest["method"],
        path,
        query,
        headers: shown,
        ...(user ? { user } : {}),
        ...(impersonation ? { impersonation } : {}),
        signal: gone.signal,
        origin: reading || passedOn ? origin : { ...origin, readBody: () => readBody(incoming) },
        ...(passedOn ? { transport: { headers, url, body: incoming, upgrade: upgrade !== undefined } } : {}),
      });
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      // The handler throws nothing: it has not seen this request.
      const [path = "", query] = url.split("?", 2);
      handler.refused?.(
        { method: method as ApiRequest["method"], path, query: new URLSearchParams(query), headers: shown, origin },
        error,
      );
      return errorResponse(error);
    }
  }
}

/** As upstream's `sourceIPs`: what proxies say, nearest to the client first, then the other end of the connection. */
function addressesOf(headers: IncomingHttpHeaders, socket: TLSSocket | undefined): string[] {
  const forwarded = (headers["x-forwarded-for"] ?? "").toString().split(",");
  const said = [...forwarded, (headers["x-real-ip"] ?? "").toString()]
    .map((one) => one.trim())
    .filter((one) => isIP(one));
  const last = socket?.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, "");
  return [...new Set(last === undefined ? said : [...said, last])];
}

function parseUrl(url: string): { path: string; query: URLSearchParams } {
  const mark = url.indexOf("?");
  try {
    return {
      path: decodeURIComponent(mark < 0 ? url : url.slice(0, mark)),
      query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
    };
  } catch {
    throw statusError("BadRequest", "the path of the request is not well formed");
  }
}

function socketOf(incoming: IncomingMessage | Http2ServerRequest): TLSSocket {
  // HTTP/2 shows a stand-in for the socket; the session knows the real one.
  return ("stream" in incoming ? incoming.stream.session?.socket : incoming.socket) as TLSSocket;
}

/** The client's own id for the request, when it is one. */
function auditId(given: string | undefined): string {
  return given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}
