import { type ClientHttp2Session, connect } from "node:http2";
import type { ClientConfig } from "../../src/client/index.ts";

export interface Answer {
  readonly status: number;
  readonly bytes: number;
  readonly text: () => string;
}

/** A stream that goes on: `data` is called with what comes, until `close`. */
export interface Stream {
  close(): void;
}

/** One HTTP/2 connection, as client-go has. */
export interface Connection {
  ask(method: string, path: string, body?: object): Promise<Answer>;
  /** Resolves when the answer has begun. */
  follow(path: string, data: (chunk: Buffer) => void): Promise<Stream>;
  close(): void;
}

/** Connects to the server of a kubeconfig. `token` or a client certificate, as it has. */
export async function openConnection(config: ClientConfig): Promise<Connection> {
  const { credentials } = config;
  const session: ClientHttp2Session = connect(config.server, {
    ...(config.ca ? { ca: config.ca } : {}),
    ...(credentials.certificate && credentials.key ? { cert: credentials.certificate, key: credentials.key } : {}),
    settings: { initialWindowSize: 4 << 20 },
    rejectUnauthorized: !config.insecure,
  });
  await new Promise<void>((resolve, reject) => {
    session.once("error", reject);
    session.once("connect", () => {
      session.setLocalWindowSize(64 << 20);
      resolve();
    });
  });
  const head = {
    accept: "application/json",
    ...(credentials.token ? { authorization: `Bearer ${credentials.token}` } : {}),
  };
  return {
    ask: (method, path, body) =>
      new Promise((resolve, reject) => {
        const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
        const stream = session.request(
          {
            ":method": method,
            ":path": path,
            ...head,
            ...(sent ? { "content-type": "application/json", "content-length": sent.length } : {}),
          },
          { endStream: sent === undefined },
        );
        let status = 0;
        let bytes = 0;
        const chunks: Buffer[] = [];
        stream.on("response", (headers) => {
          status = Number(headers[":status"]);
        });
        stream.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
        });
        stream.on("error", reject);
        stream.on("end", () => resolve({ status, bytes, text: () => Buffer.concat(chunks).toString() }));
        if (sent) stream.end(sent);
      }),
    follow: (path, data) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ":method": "GET", ":path": path, ...head });
        stream.on("error", reject);
        stream.on("data", data);
        stream.on("response", (headers) => {
          if (Number(headers[":status"]) === 200) resolve({ close: () => stream.close() });
          else reject(new Error(`${path}: HTTP ${headers[":status"]}`));
        });
      }),
    close: () => session.destroy(),
  };
}
