import { createMemoryStore, type Store } from "../store/index.ts";
import { FakeClock, silentLogger } from "../system/index.ts";
import type { Authenticator, Impersonation } from "./authentication/index.ts";
import type { Egress } from "./egress/index.ts";
import type { ApiHandler, ApiRequest, ApiResponse, UserInfo, WatchFrame } from "./handler.ts";
import type { KubeletClient } from "./resources/index.ts";
import { createApiServer, type ApiServer, type ApiServerOptions } from "./server.ts";
import type { AuthenticationOptions } from "./identity.ts";

/** Any answer of the API, read whole: loose, so that tests say shortly what they look at. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly bytes: Uint8Array;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

/** An API server in this process over a store in memory, for unit tests. */
export interface TestApi {
  readonly handler: ApiHandler;
  readonly server: ApiServer;
  readonly authenticator: Authenticator;
  readonly store: Store;
  readonly clock: FakeClock;
  call(method: ApiRequest["method"], url: string, body?: object, more?: CallOptions): Promise<TestAnswer>;
  watch(url: string, more?: CallOptions): Promise<TestWatch>;
  stop(): Promise<void>;
}

export interface CallOptions {
  readonly user?: UserInfo;
  readonly impersonation?: Impersonation;
  readonly headers?: Record<string, string>;
}

export interface TestWatch {
  /** The next frame; undefined when the watch has ended. */
  next(): Promise<WatchFrame | undefined>;
  stop(): void;
}

export const admin: UserInfo = { name: "admin", groups: ["system:masters", "system:authenticated"] };
export const mergePatch = { headers: { "content-type": "application/merge-patch+json" } };

const noKubelet: KubeletClient = { open: () => Promise.reject(new Error("no kubelet")) };

export async function startTestApi(
  options: {
    store?: Store;
    egress?: Egress;
    kubelet?: KubeletClient;
    serviceCidrs?: readonly string[];
    nodePorts?: [number, number];
    authentication?: AuthenticationOptions;
    gatewayApi?: boolean;
    more?: Partial<ApiServerOptions>;
  } = {},
): Promise<TestApi> {
  const { store = createMemoryStore(), kubelet = noKubelet, serviceCidrs = ["10.96.0.0/16"], nodePorts } = options;
  const { authentication } = options;
  const clock = new FakeClock();
  const ended = new AbortController();
  const server = createApiServer({
    store,
    clock,
    log: silentLogger,
    signal: ended.signal,
    serviceCidrs,
    ...(nodePorts ? { nodePortRange: { first: nodePorts[0], last: nodePorts[1] } } : {}),
    advertise: { address: "192.0.2.1", port: 6443 },
    kubelet,
    ...(authentication ? { authentication } : {}),
    ...(options.gatewayApi ? { gatewayApi: true } : {}),
    ...(options.egress ? { egress: options.egress } : {}),
    ...options.more,
  });
  await server.ready;

  const ask = (
    method: ApiRequest["method"],
    url: string,
    body: object | undefined,
    { user = admin, impersonation, headers = {} }: CallOptions,
    signal: AbortSignal,
  ): Promise<ApiResponse> => {
    const { pathname, searchParams } = new URL(url, "http://api");
    const path = decodeURIComponent(pathname);
    return server.handler.handle({
      method,
      path,
      query: searchParams,
      headers,
      user,
      ...(impersonation ? { impersonation } : {}),
      ...(body === undefined ? {} : { body }),
      signal,
    });
  };
  return {
    handler: server.handler,
    server,
    authenticator: server.authenticator,
    store,
    clock,
    async call(method, url, body, more = {}) {
      const answer = await ask(method, url, body, more, ended.signal);
      const bytes = await bytesOf(answer);
      const text = bytes.toString();
      const isJson = answer.headers["content-type"]?.startsWith("application/json") && text !== "";
      return {
        status: answer.status,
        headers: answer.headers,
        text,
        bytes,
        body: isJson ? JSON.parse(text) : undefined,
      };
    },
    async watch(url, more = {}) {
      const gone = new AbortController();
      const answer = await ask("GET", url, undefined, more, gone.signal);
      if (answer.type !== "watch") throw new Error(`no watch: ${(await bytesOf(answer)).toString()}`);
      const frames = answer.frames[Symbol.asyncIterator]();
      return {
        next: async () => {
          const { value, done } = await frames.next();
          return done ? undefined : value;
        },
        stop: () => gone.abort(),
      };
    },
    async stop() {
      ended.abort();
      await server.stopped;
      await store.close();
    },
  };
}

async function bytesOf(answer: ApiResponse): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  if (answer.type === "object") parts.push(...answer.bytes());
  if (answer.type === "stream") for await (const chunk of answer.chunks) parts.push(chunk);
  return Buffer.concat(parts);
}
