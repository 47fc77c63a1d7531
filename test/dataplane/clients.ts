import {
  type Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { TestCluster } from "./cluster.ts";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: string;
}

export interface SendOptions extends Omit<RequestOptions, "agent"> {
  readonly body?: string | Buffer;
  readonly host?: string;
  readonly tls?: Pick<ConnectionOptions, "servername" | "cert" | "key" | "ca" | "session" | "maxVersion">;
  readonly agent?: Agent;
}

/** Sends a request through the data plane, for `shop.test` unless `host` says else, and reads the whole answer. */
export async function send(cluster: TestCluster, path: string, options: SendOptions = {}): Promise<Reply> {
  const { request, answer } = begin(cluster, path, options);
  request.end(options.body);
  return read(await answer);
}

/** Begins a request: the body is the caller's. */
export function begin(cluster: TestCluster, path: string, options: SendOptions = {}) {
  const { host = "shop.test", tls, headers, body: _body, ...rest } = options;
  const all = {
    ...rest,
    host: "127.0.0.1",
    port: cluster.port(tls ? "https" : "http"),
    path,
    headers: { host, ...(headers as Record<string, string> | undefined) },
    ...(tls ? { ...tls, servername: tls.servername ?? host, rejectUnauthorized: tls.ca !== undefined } : {}),
  };
  const request = tls ? httpsRequest(all) : httpRequest(all);
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.on("response", resolve);
    request.on("error", reject);
  });
  answer.catch(() => {});
  return { request, answer };
}

export function read(response: IncomingMessage): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        rawHeaders: response.rawHeaders,
        trailers: response.trailers,
        body: Buffer.concat(chunks).toString(),
      }),
    );
  });
}

/** Sends bytes as they are, and returns all that comes back until the other side closes or says nothing for `quiet` ms. */
export function sendBytes(port: number, bytes: string | Buffer, quiet = 400): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const end = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(quiet, end);
    socket.on("data", (chunk) => (text += chunk.toString("latin1")));
    socket.on("error", end).on("end", end).on("close", end);
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  });
}
