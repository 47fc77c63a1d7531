import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import type { TLSSocket } from "node:tls";
import { statusError, StatusError } from "../../kube/index.ts";
import { impersonationOf, type Authenticator, type ClientCertificate } from "../authentication/index.ts";
import type { Logger } from "../../system/index.ts";
import type { ApiHandler, ApiRequest, ApiResponse, Origin } from "../handler.ts";
import { errorResponse } from "../request/respond.ts";
import type { Arrival } from "./arrival.ts";
import { readBody } from "./body.ts";
import type { ServingFigures } from "./figures.ts";
import { webSocketAuthorization, type Upgrade } from "./upgrade.ts";
import { writeAnswer } from "./write.ts";

const methods: ReadonlySet<string> = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);

/** Why requests are given up. One for all: to make an error for each costs more than much of an answer. */
const clientGone = new Error("the client has gone");

export interface ExchangeParts {
  readonly handler: ApiHandler;
  readonly authenticator: Authenticator;
  readonly certificateOf: (socket: TLSSocket) => ClientCertificate | undefined;
  readonly figures: ServingFigures;
  readonly log: Logger;
  /** No further request is wanted: connections of HTTP/1.1 end with their answers. */
  readonly closing: () => boolean;
}

/**
 * What holds as long as a request goes on. Most requests end without anybody having asked for their signal: it is made for those who do,
 * as is all else here. A class, since there is one for every request.
 */
class UnderWay implements Origin {
  readonly auditId: string;
  readonly headers: Record<string, string>;
  readBody?: () => Promise<Uint8Array>;
  readonly #arrival: Arrival;
  #abort: AbortController | undefined;
  #reason: Error | undefined;
  #ends: (() => void)[] | undefined;

  constructor(arrival: Arrival) {
    this.#arrival = arrival;
    this.auditId = auditId(headerOf(arrival, "audit-id"));
    this.headers = { "audit-id": this.auditId };
  }

  get url(): string {
    return this.#arrival.url;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#reason) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  get givenUp(): boolean {
    return this.#reason !== undefined;
  }

  addresses(): string[] {
    return addressesOf(this.#arrival.headers, this.#arrival.socket);
  }

  onEnd(listener: () => void): void {
    (this.#ends ??= []).push(listener);
  }

  giveUp(reason: Error): void {
    this.#reason ??= reason;
    this.#abort?.abort(reason);
  }

  end(): void {
    for (const end of this.#ends ?? []) end();
  }
}

function headerOf({ headers }: Arrival, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** One request and its answer, from socket to socket; `upgrade` tells that the client would speak another protocol after it. Never throws. */
export async function exchange(parts: ExchangeParts, arrival: Arrival, upgrade?: Upgrade): Promise<void> {
  const { log, closing } = parts;
  const { answer: outgoing, method, headers } = arrival;
  const origin = new UnderWay(arrival);
  let answered = false;
  const leaves = (): void => {
    if (!answered) origin.giveUp(clientGone);
  };
  outgoing.body.on("close", leaves);
  outgoing.body.on("error", leaves);
  try {
    const response = await answerTo(parts, arrival, origin, upgrade);
    if (arrival.ownsConnection && closing()) origin.headers["connection"] = "close";
    if (response.type === "upgrade") return await (upgrade?.accept(response, origin.headers) ?? response.drop());
    const writing = writeAnswer(outgoing, response, {
      method,
      accept: headers.accept,
      acceptEncoding: headerOf(arrival, "accept-encoding"),
      headers: origin.headers,
      signal: () => origin.signal,
    });
    if (writing) await writing;
    answered = true;
  } catch (error) {
    if (!origin.givenUp) log.warn({ error: String(error), path: arrival.url }, "an answer broke off");
    outgoing.body.destroy();
  } finally {
    origin.end();
    arrival.finish();
  }
}

async function answerTo(
  { handler, authenticator, certificateOf, figures }: ExchangeParts,
  arrival: Arrival,
  origin: UnderWay,
  upgrade: Upgrade | undefined,
): Promise<ApiResponse> {
  const { method: verb, url, headers, rawHeaders, socket, body } = arrival;
  const method = verb as ApiRequest["method"];
  // What the API itself looks at.
  const shown = {
    accept: headers.accept,
    "content-type": headers["content-type"],
    "if-none-match": headers["if-none-match"],
    "user-agent": headers["user-agent"],
  };
  try {
    const { path, query } = parseUrl(url);
    const passedOn = handler.passesOn?.({ method, path, query }) ?? false;
    if (!methods.has(method) && !(passedOn && method === "OPTIONS"))
      throw statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
    const certificate = certificateOf(socket);
    const begun = performance.now();
    const user = await authenticator
      .authenticate({
        authorization: headers.authorization ?? (upgrade ? webSocketAuthorization({ headers }) : undefined),
        rawHeaders,
        certificate,
      })
      .catch((error: unknown) => {
        figures.authenticated("failure", performance.now() - begun);
        throw error;
      });
    figures.authenticated("success", performance.now() - begun);
    if (certificate?.ends !== undefined) figures.certificate(certificate.ends - Date.now());
    const impersonation = impersonationOf(rawHeaders);
    if (method !== "GET" && method !== "HEAD" && !passedOn) origin.readBody = () => readBody(body);
    return await handler.handle({
      method,
      path,
      query,
      headers: shown,
      ...(user ? { user } : {}),
      ...(impersonation ? { impersonation } : {}),
      get signal() {
        return origin.signal;
      },
      origin,
      ...(passedOn ? { transport: { headers, url, body, upgrade: upgrade !== undefined } } : {}),
    });
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    // The handler throws nothing: it has not seen this request.
    const [path = "", query] = url.split("?", 2);
    handler.refused?.({ method, path, query: new URLSearchParams(query), headers: shown, origin }, error);
    return errorResponse(error);
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

/** The client's own id for the request, when it is one. */
function auditId(given: string | undefined): string {
  return given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}
