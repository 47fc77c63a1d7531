// Clients that never stop: HTTP/1.1 kept alive, with and without bodies, HTTP/2, gRPC, WebSockets.
import { Agent, request as httpRequest } from "node:http";
import { type ClientHttp2Session, constants, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { WebSocket } from "ws";

export interface Ports {
  readonly http: number;
  readonly https: number;
}

export interface Load {
  /** How many requests of each kind were answered as they should be. */
  readonly served: ReadonlyMap<string, number>;
  /** What went wrong; never more than a hundred of it. */
  readonly failed: readonly string[];
  /**
   * What a client may repeat, and these did: requests under which an idle connection was closed (RFC 9110 section 9.2.2), and streams
   * that were refused unread as their connection came to its end (RFC 9113 section 8.7).
   */
  repeated(): number;
  /** Requests that were answered, of all kinds. */
  answered(): number;
  /** Settles when so many have been answered, or have failed. */
  until(answered: number): Promise<void>;
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly ports: Ports;
  /** Requests per second of each client. */
  readonly rate: number;
  /** Clients of HTTP/1.1. */
  readonly clients: number;
  /** Called with each answer of the Service whose endpoints change: who gave it, and when its request began. */
  readonly seen: (name: string, began: number) => void;
}

/** Requests that a client makes up for. */
const mostBehind = 10;
/** Milliseconds: far more than anything takes, and than a lost packet is sent again. */
const patience = 20_000;
const host = "shop.test";

export function startLoad({ ports, rate, clients, seen }: LoadOptions): Load {
  const served = new Map<string, number>();
  const failed: string[] = [];
  const running: Promise<void>[] = [];
  let stopped = false;
  let repeated = 0;
  const pause = 1000 / rate;

  const fail = (kind: string, why: unknown): void => {
    if (failed.length < 100)
      failed.push(`${kind}: ${why instanceof Error ? `${why.name} ${why.message}` : String(why)}`);
  };

  /** Calls `once` again and again until the end. */
  function keep(kind: string, once: (count: number) => Promise<void>): void {
    running.push(
      (async () => {
        let due = performance.now();
        for (let count = 0; !stopped; count++) {
          try {
            await once(count);
            served.set(kind, (served.get(kind) ?? 0) + 1);
          } catch (error) {
            fail(kind, error);
          }
          // By the clock, or each timer that fires late would make fewer requests of it; after a stop of the whole machine no more than a few are made up for.
          const now = performance.now();
          due = Math.max(due + pause, now - mostBehind * pause);
          if (due > now) await new Promise((resolve) => setTimeout(resolve, due - now));
        }
      })(),
    );
  }

  function exchange(agent: Agent, method: string, body: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        {
          host: "127.0.0.1",
          port: ports.http,
          path: "/",
          method,
          agent,
          headers: { host, "content-length": body.length },
        },
        (response) => {
          let text = "";
          response.on("data", (chunk) => (text += String(chunk)));
          response.on("error", reject);
          response.on("end", () => {
            if (response.statusCode === 200 && text.endsWith(`:${body}`)) resolve(text);
            else reject(new Error(`${response.statusCode} ${JSON.stringify(text)}`));
          });
        },
      );
      request.setTimeout(patience, () => request.destroy(new Error("no answer")));
      request.on("error", (error: NodeJS.ErrnoException) => {
        const closed = request.reusedSocket && error.code === "ECONNRESET" && method === "GET";
        if (!closed) return reject(error);
        repeated++;
        exchange(agent, method, body).then(resolve, reject);
      });
      request.end(body);
    });
  }

  for (let i = 0; i < clients; i++) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const [kind, method] = i % 2 === 0 ? ["GET", "GET"] : ["POST", "POST"];
    keep(kind, async (count) => {
      const began = performance.now();
      const text = await exchange(agent, method, method === "POST" ? `${count}-${"x".repeat(count % 5_000)}` : "");
      seen(text.slice(0, text.indexOf(":")), began);
    });
  }

  let session: ClientHttp2Session | undefined;
  function connected(): ClientHttp2Session {
    if (session && !session.closed && !session.destroyed) return session;
    const made = connectHttp2(`https://127.0.0.1:${ports.https}`, { rejectUnauthorized: false, servername: host });
    const leave = (): void => void (session = session === made ? undefined : session);
    made.on("goaway", leave).on("close", leave);
    made.on("error", (error) => {
      leave();
      fail("session", error);
    });
    return (session = made);
  }
  function stream(
    headers: OutgoingHttpHeaders,
    body?: string,
  ): Promise<{ text: string; trailers: Record<string, unknown> }> {
    return new Promise((resolve, reject) => {
      const request = connected().request({ ":authority": host, ...headers }, { endStream: body === undefined });
      let text = "";
      let status = 0;
      let trailers: Record<string, unknown> = {};
      request.setTimeout(patience, () => request.destroy(new Error("no answer")));
      request.on("response", (fields) => (status = Number(fields[":status"])));
      request.on("trailers", (fields) => (trailers = fields));
      request.on("data", (chunk) => (text += String(chunk)));
      request.on("error", (error) => {
        if (request.rstCode !== constants.NGHTTP2_REFUSED_STREAM) return reject(error);
        repeated++;
        stream(headers, body).then(resolve, reject);
      });
      request.on("close", () => {
        if (request.rstCode === constants.NGHTTP2_REFUSED_STREAM) return;
        if (status === 200 && request.rstCode === 0) resolve({ text, trailers });
        else reject(new Error(`${status} ${JSON.stringify(text)} code ${request.rstCode}`));
      });
      if (body !== undefined) request.end(body);
    });
  }
  keep("HTTP/2", async () => {
    const began = performance.now();
    const { text } = await stream({ ":path": "/" });
    seen(text.slice(0, text.indexOf(":")), began);
  });
  keep("gRPC", async (count) => {
    const body = `message ${count}`;
    const headers = {
      ":path": "/grpc.Echo/Say",
      ":method": "POST",
      "content-type": "application/grpc",
      te: "trailers",
    };
    const { text, trailers } = await stream(headers, body);
    if (text !== body || trailers["grpc-status"] !== "0") throw new Error(`${text} ${JSON.stringify(trailers)}`);
  });

  const socket = new WebSocket(`ws://127.0.0.1:${ports.http}/ws`, { headers: { host } });
  const opened = new Promise<void>((resolve, reject) => socket.once("open", resolve).once("error", reject));
  opened.catch(() => {});
  socket.on("close", () => stopped || fail("WebSocket", "closed"));
  keep("WebSocket", async (count) => {
    await opened;
    const answer = new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no answer")), patience);
      socket.once("message", (data: Buffer) => {
        clearTimeout(timer);
        resolve(String(data));
      });
    });
    socket.send(`message ${count}`);
    const text = await answer;
    if (text !== `message ${count}`) throw new Error(text);
  });

  const answered = (): number => [...served.values()].reduce((sum, count) => sum + count, 0);

  return {
    served,
    failed,
    repeated: () => repeated,
    answered,
    async until(count) {
      while (answered() + failed.length < count) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    async stop() {
      stopped = true;
      await Promise.all(running);
      socket.terminate();
      session?.destroy();
    },
  };
}
