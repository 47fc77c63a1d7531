import { Agent as PlainAgent, type IncomingMessage, request as requestPlain } from "node:http";
import { Agent as TlsAgent, request as requestTls } from "node:https";
import { type Status, StatusError, statusError, type StatusReason, reasonCodes } from "../kube/index.ts";
import { type Clock, type CommandRunner, systemClock, systemCommands, trust } from "../system/index.ts";
import { type Client, ClientError } from "./client.ts";
import type { ClientConfig } from "./config.ts";
import { createCredentialSource, type Identity } from "./credentials.ts";
import { splitLines } from "./lines.ts";
import { createRestClient, type Transport, type TransportFrame, type TransportRequest } from "./rest.ts";

export interface HttpClientOptions {
  /** `User-Agent`. Default `fairlead`. */
  readonly userAgent?: string;
  /** Default `fairlead`. */
  readonly fieldManager?: string;
  readonly clock?: Clock;
  readonly commands?: CommandRunner;
}

/** Milliseconds in which an answer must begin; a watch may take as long as it likes. */
const answerTimeout = 60_000;
const connectTimeout = 15_000;
const bodyLimit = 512 << 20;
const lineLimit = 32 << 20;
/** How often a request that the server asks to send again later is sent again. */
const patience = 5;

/** A client over HTTPS (or plain HTTP), with one kept-alive connection per request at a time, and one for each watch. */
export function createHttpClient(config: ClientConfig, options: HttpClientOptions = {}): Client {
  const { clock = systemClock, commands = systemCommands, userAgent = "fairlead" } = options;
  const source = createCredentialSource(config, clock, commands);
  const base = new URL(config.server);
  const agentFor = agents(config, base.protocol === "https:");

  /** Sends once; resolves when the answer's head is there. */
  const send = (request: TransportRequest, identity: Identity, endless: boolean): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const body = request.body ? Buffer.from(JSON.stringify(request.body)) : undefined;
      const query = request.query.toString();
      const path = `${base.pathname.replace(/\/$/, "")}${request.path}${query ? `?${query}` : ""}`;
      const headers = {
        accept: request.accept ?? "application/json",
        "user-agent": userAgent,
        ...identity.headers,
        ...(body ? { "content-type": request.contentType ?? "application/json", "content-length": body.length } : {}),
      };
      const make = base.protocol === "https:" ? requestTls : requestPlain;
      const sent = make(base, {
        method: request.method,
        path,
        headers,
        agent: agentFor(identity),
        ...(request.signal ? { signal: request.signal } : {}),
      });
      const limit = endless ? connectTimeout : answerTimeout;
      const timer = setTimeout(() => {
        if (!endless || sent.socket?.connecting !== false) sent.destroy(new Error(`no answer in ${limit / 1000} s`));
      }, limit);
      sent.on("error", (error) => {
        clearTimeout(timer);
        // The server closed an idle connection just when it was used again. A read can be sent once more.
        if (sent.reusedSocket && request.method === "GET" && !request.signal?.aborted) {
          return resolve(send(request, identity, endless));
        }
        reject(request.signal?.aborted ? (request.signal.reason as Error) : failure(config.server, error));
      });
      sent.on("response", (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      sent.end(body);
    });

  /** Sends until there is an answer that is not "later": refreshes credentials once, waits where the server asks for it. */
  const ask = async (request: TransportRequest, endless = false): Promise<IncomingMessage> => {
    let refused = false;
    for (let tries = 1; ; tries++) {
      request.signal?.throwIfAborted();
      const response = await send(request, await source.identity(), endless);
      const status = response.statusCode ?? 0;
      if (status < 300) return response;
      const error = errorOf(request, response, await readAll(response));
      const wait = Number(response.headers["retry-after"] ?? error.status.details?.retryAfterSeconds);
      if (status === 401 && !refused && source.refuse()) {
        refused = true;
      } else if ((status === 429 || (status >= 500 && status !== 504)) && wait >= 0 && tries <= patience) {
        await clock.sleep(Math.min(wait, 30) * 1000, request.signal);
      } else throw error;
    }
  };

  const transport: Transport = {
    async call(request) {
      const bytes = await readAll(await ask(request));
      try {
        return JSON.parse(bytes.toString()) as object;
      } catch (error) {
        throw new ClientError("PROTOCOL", `${config.server}${request.path} did not answer with JSON`, { cause: error });
      }
    },
    async *watch(request) {
      const url = `${config.server}${request.path}`;
      try {
        const response = await ask(request, true);
        const tooLong = () => new ClientError("PROTOCOL", `${url}: a watch event of more than ${lineLimit} bytes`);
        for await (const line of splitLines(bytesOf(response), lineLimit, tooLong)) yield frameOf(line, url);
      } catch (error) {
        if (request.signal.aborted) return;
        throw known(config.server, error);
      }
    },
    async *download(request) {
      try {
        yield* bytesOf(await ask(request, true));
      } catch (error) {
        if (request.signal?.aborted) return;
        throw known(config.server, error);
      }
    },
  };
  return createRestClient(transport, { fieldManager: options.fieldManager ?? "fairlead" });
}

/** An agent per certificate: an exec plugin may give a new one. The last is kept. */
function agents(config: ClientConfig, tls: boolean): (identity: Identity) => PlainAgent {
  const shared = { keepAlive: true, keepAliveMsecs: 30_000, maxSockets: Infinity, maxFreeSockets: 8 };
  let current: { certificate: string | undefined; agent: PlainAgent } | undefined;
  return ({ certificate, key }) => {
    if (current && current.certificate === certificate) return current.agent;
    const agent = tls
      ? new TlsAgent({
          ...shared,
          ...trust(config.ca),
          ...(config.serverName ? { servername: config.serverName } : {}),
          ...(certificate && key ? { cert: certificate, key } : {}),
          rejectUnauthorized: !config.insecure,
        })
      : new PlainAgent(shared);
    current = { certificate, agent };
    return agent;
  };
}

/** The body in pieces; leaving the loop early closes the connection. */
async function* bytesOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  // A peer that is gone without a word is found by TCP keep-alive, not by silence: a watch may be silent for long.
  response.socket.setKeepAlive(true, 30_000);
  for await (const chunk of response) yield chunk as Uint8Array;
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of bytesOf(response)) {
      size += chunk.length;
      if (size > bodyLimit) throw new ClientError("PROTOCOL", `an answer of more than ${bodyLimit} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw known("the API server", error);
  }
  return Buffer.concat(chunks);
}

function frameOf(line: string, url: string): TransportFrame {
  try {
    const frame = JSON.parse(line) as TransportFrame;
    if (typeof frame.type === "string" && typeof frame.object === "object" && frame.object !== null) return frame;
  } catch (error) {
    throw new ClientError("PROTOCOL", `${url}: a watch event is cut short or not JSON`, { cause: error });
  }
  throw new ClientError("PROTOCOL", `${url}: a line of the watch is not a watch event`);
}

/** The Status that the server sent, or one made from its HTTP status, as for a proxy in between. */
function errorOf(request: TransportRequest, response: IncomingMessage, body: Buffer): StatusError {
  const code = response.statusCode ?? 500;
  try {
    const status = JSON.parse(body.toString()) as Status;
    if (status.kind === "Status") return new StatusError({ ...status, code: status.code ?? code });
  } catch {
    // Not from the API: what it says is made into a Status below.
  }
  const reason =
    (Object.keys(reasonCodes) as StatusReason[]).find((name) => reasonCodes[name] === code) ?? "InternalError";
  const said = body.toString("utf8", 0, 300).trim();
  const error = statusError(reason, `${request.method} ${request.path}: HTTP ${code}${said ? `: ${said}` : ""}`);
  return new StatusError({ ...error.status, code });
}

const known = (server: string, error: unknown): unknown =>
  error instanceof StatusError || error instanceof ClientError ? error : failure(server, error as Error);

/** A failure below HTTP, in words that say what to look at. */
function failure(server: string, error: NodeJS.ErrnoException): ClientError {
  const code = error.code ?? "";
  const isTls = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|EPROTO|ERR_OSSL)/.test(
    code,
  );
  const text = code === "ECONNREFUSED" ? "connection refused: is it running?" : error.message;
  return new ClientError(isTls ? "TLS" : "UNREACHABLE", `${server}: ${text}`, { cause: error });
}
