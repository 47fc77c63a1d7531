import { Agent, request, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import type { Outcome, Seen } from "./history.ts";
import { WatchError, type Api } from "./workload.ts";

export interface Answer {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

export interface HttpClient {
  call(method: string, path: string, body?: object): Promise<Answer>;
  /** The text of an answer that is none of the API's objects: `/metrics`. */
  text(path: string): Promise<string>;
  stream(path: string, signal: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

/** Requests of one user over connections that are kept. `socketPath`: a file that leads to the server. */
export function connectHttp(
  server: string,
  { socketPath, ...tls }: { ca: string; cert: string; key: string; socketPath?: string },
): HttpClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 64, ...tls });
  const open = (options: RequestOptions, body?: object): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const sent = request(
        server,
        {
          agent,
          ...(socketPath ? { socketPath } : {}),
          headers: body ? { "content-type": "application/json" } : {},
          ...options,
        },
        resolve,
      );
      sent.on("error", reject);
      sent.end(body && JSON.stringify(body));
    });
  const ask = async (method: string, path: string, body?: object): Promise<{ status: number; text: string }> => {
    const answer = await open({ method, path, signal: AbortSignal.timeout(20_000) }, body);
    const parts: Buffer[] = [];
    for await (const part of answer) parts.push(part as Buffer);
    return { status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() };
  };
  return {
    async call(method, path, body) {
      const { status, text } = await ask(method, path, body);
      return { status, body: JSON.parse(text) };
    },
    text: async (path) => (await ask("GET", path)).text,
    stream: (path, signal) => open({ path, signal }),
    close: () => agent.destroy(),
  };
}

const collection = "/api/v1/namespaces/default/configmaps";

interface ConfigMap {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly data?: { readonly token?: string };
}

const seenOf = ({ metadata, data }: ConfigMap): Seen => ({
  token: data?.token ?? "",
  version: Number(metadata.resourceVersion),
});

/** The actions on ConfigMaps, through one API server. */
export function configMapApi(client: HttpClient): Api {
  const objectOf = (name: string, token: string, resourceVersion?: number) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, ...(resourceVersion ? { resourceVersion: String(resourceVersion) } : {}) },
    data: { token },
  });
  const outcomeOf = ({ status, body }: Answer): Outcome => {
    if (status < 300) return { type: "ok", seen: seenOf(body as ConfigMap) };
    if (status === 404) return { type: "absent" };
    if (status === 409)
      return { type: (body as { reason: string }).reason === "AlreadyExists" ? "exists" : "conflict" };
    if (status >= 500 || status === 429) return { type: "unknown" };
    throw new WatchError(`HTTP ${status}: ${JSON.stringify(body)}`);
  };
  return {
    async act(key, action) {
      const path = `${collection}/${key}`;
      switch (action.type) {
        case "get":
          return outcomeOf(await client.call("GET", path));
        case "create":
          return outcomeOf(await client.call("POST", collection, objectOf(key, action.token)));
        case "update":
          return outcomeOf(await client.call("PUT", path, objectOf(key, action.token, action.base)));
        default: {
          const found = await client.call("GET", path);
          if (found.status >= 300) return outcomeOf(found);
          // The answer to a delete does not say which version was removed: only this one may be.
          const { resourceVersion } = (found.body as ConfigMap).metadata;
          const answer = await client.call("DELETE", path, { preconditions: { resourceVersion } });
          return answer.status < 300 ? { type: "ok", seen: seenOf(found.body as ConfigMap) } : outcomeOf(answer);
        }
      }
    },
    async list() {
      const { status, body } = await client.call("GET", collection);
      if (status !== 200) throw new Error(`HTTP ${status}`);
      const { items, metadata } = body as { items: ConfigMap[]; metadata: { resourceVersion: string } };
      const ours = items.filter(({ data }) => data?.token !== undefined);
      return {
        version: Number(metadata.resourceVersion),
        items: new Map(ours.map((item): [string, Seen] => [item.metadata.name, seenOf(item)])),
      };
    },
    async *watch(from, signal) {
      const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${from}`;
      const stream = await client.stream(`${collection}?${query}`, signal);
      let rest = "";
      for await (const chunk of stream.setEncoding("utf8")) {
        const lines = (rest + String(chunk)).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const { type, object } = JSON.parse(line) as { type: string; object: ConfigMap & { code?: number } };
          if (type === "ERROR" && object.code === 410) throw new WatchError(line);
          if (type === "ERROR" || object.code !== undefined) throw new Error(line);
          const version = Number(object.metadata.resourceVersion);
          if (type === "BOOKMARK") yield { version };
          else if (object.data?.token !== undefined)
            yield { version, key: object.metadata.name, token: type === "DELETED" ? undefined : object.data.token };
        }
      }
    },
  };
}
