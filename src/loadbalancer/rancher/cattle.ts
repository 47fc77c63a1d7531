import { WebSocket } from "ws";
import { createApi, type ApiRequest } from "../provider/api.ts";
import { trust } from "../../system/index.ts";
import { ProviderFailure } from "../provider/contract.ts";
import { shape, textIn, type Shape } from "../provider/shape.ts";

export type CattleVersion = "v1" | "v2-beta";

export interface CattleConfig {
  /** As CATTLE_URL: with or without a version, with a project or without. */
  readonly url: string;
  /** auto: v2-beta, or v1 where there is no v2-beta. */
  readonly version: CattleVersion | "auto";
  readonly accessKey: string;
  readonly secretKey: string;
  readonly ca?: string;
  readonly insecure: boolean;
  /** Milliseconds for one call. */
  readonly timeout: number;
}

/** Rancher's Cattle API, which describes itself: where something is comes from its schemas and its answers. All throw ProviderFailure. */
export interface Cattle {
  version(signal: AbortSignal): Promise<CattleVersion>;
  /** All resources of a kind, its plural, for which these fields are so; removed ones are left out. */
  list(kind: string, filters: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly Shape[]>;
  /** Undefined: there is none, or it is removed. */
  get(kind: string, id: string, signal: AbortSignal): Promise<Shape | undefined>;
  create(kind: string, body: object, signal: AbortSignal): Promise<Shape>;
  update(kind: string, id: string, body: object, signal: AbortSignal): Promise<void>;
  /** Does one of a resource's actions. False: it has no such action now. */
  act(resource: Shape, action: string, signal: AbortSignal, input?: object): Promise<boolean>;
  /** Calls back when it is connected, and with each resource that changes, until the connection ends. */
  subscribe(on: Subscriber, signal: AbortSignal): Promise<void>;
}

export interface Subscriber {
  open(): void;
  change(type: string, resource: Shape): void;
}

const mostPages = 1_000;
const mostMessageBytes = 4 << 20;
/** Milliseconds without a word, not even a ping, after which a subscription counts as dead. Rancher pings every five seconds. */
const silence = 30_000;

export function createCattle(config: CattleConfig): Cattle {
  const authorization = `Basic ${Buffer.from(`${config.accessKey}:${config.secretKey}`).toString("base64")}`;
  const base = new URL(config.url);
  const api = createApi({
    timeout: config.timeout,
    insecure: config.insecure,
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    secrets: () => [config.secretKey, authorization],
    messageIn(body) {
      const one = shape(body);
      return [textIn(one.at("code")), textIn(one.at("message")), textIn(one.at("detail"))].filter(Boolean).join(": ");
    },
    // Cattle says so of what is being changed, and of a name that is taken.
    reasonOf: ({ status }, message) => (status === 422 && message.includes("NotUnique") ? "Conflict" : undefined),
  });
  const headers = { authorization };

  /**
   * A link of an answer, on the host of the configuration: credentials go nowhere else, whatever an answer says, and it may not know that TLS
   * is before it.
   */
  function here(link: string): string {
    if (!URL.canParse(link)) throw new ProviderFailure("Broken", "Rancher has answered with a link that is no URL");
    const { pathname, search } = new URL(link);
    return `${base.origin}${pathname}${search}`;
  }

  interface Schemas {
    readonly version: CattleVersion;
    /** Link of the collection, by plural in lower case. */
    readonly collections: ReadonlyMap<string, string>;
  }
  let schemas: Promise<Schemas> | undefined;

  async function bootstrap(signal: AbortSignal): Promise<Schemas> {
    const rest = base.pathname.replace(/^\/(v1|v2-beta)(?=\/|$)/, "").replace(/\/+$/, "");
    const versions = config.version === "auto" ? (["v2-beta", "v1"] as const) : [config.version];
    for (const version of versions) {
      const request = { method: "GET", url: `${base.origin}/${version}${rest}`, headers } as const;
      const answer = await api.call(request, signal);
      if (answer.status === 404 && version !== versions.at(-1)) continue;
      if (answer.status !== 200) throw api.failureOf(request, answer);
      const link = answer.header("x-api-schemas");
      if (!link) throw new ProviderFailure("Broken", `${request.url} has answered without the header X-API-Schemas`);
      const body = shape((await api.ask({ method: "GET", url: here(link), headers }, signal)).json());
      const collections = new Map<string, string>();
      for (const one of body.at("data").list()) {
        const collection = textIn(one.at("links").at("collection"));
        const plural = textIn(one.at("pluralName"));
        if (collection && plural) collections.set(plural.toLowerCase(), here(collection));
      }
      return { version, collections };
    }
    throw new ProviderFailure("Broken", `${base.origin} speaks neither v2-beta nor v1`);
  }
  async function known(signal: AbortSignal): Promise<Schemas> {
    const mine = (schemas ??= bootstrap(signal));
    try {
      return await mine;
    } catch (error) {
      if (schemas === mine) schemas = undefined;
      throw error;
    }
  }
  async function collection(kind: string, signal: AbortSignal): Promise<string> {
    const { collections, version } = await known(signal);
    const found = collections.get(kind.toLowerCase());
    if (found) return found;
    throw new ProviderFailure(
      "Refused",
      `Rancher's ${version} has no ${kind}; give the key of an environment that may use them`,
    );
  }
  async function call(request: Omit<ApiRequest, "headers">, signal: AbortSignal): Promise<Shape> {
    return shape((await api.ask({ ...request, headers }, signal)).json() ?? {});
  }
  const isThere = (one: Shape) =>
    one.at("removed").isAbsent() && !["removed", "purged"].includes(textIn(one.at("state")) ?? "");

  return {
    version: async (signal) => (await known(signal)).version,
    async list(kind, filters, signal) {
      const found: Shape[] = [];
      const query = new URLSearchParams({ ...filters, removed_null: "1", limit: "100" });
      let next: string | undefined = `${await collection(kind, signal)}?${query.toString()}`;
      for (let page = 0; next !== undefined && page < mostPages; page++) {
        const body = await call({ method: "GET", url: next }, signal);
        found.push(...body.at("data").list().filter(isThere));
        const pagination = body.at("pagination");
        const link = pagination.isAbsent() ? undefined : textIn(pagination.at("next"));
        next = link === undefined ? undefined : here(link);
      }
      // A server that does not know a filter answers with all.
      const wanted = Object.entries(filters).filter(([name]) => !name.includes("_"));
      return found.filter((one) => wanted.every(([name, value]) => one.at(name).value === value));
    },
    async get(kind, id, signal) {
      const request = {
        method: "GET",
        url: `${await collection(kind, signal)}/${encodeURIComponent(id)}`,
        headers,
      } as const;
      const answer = await api.call(request, signal);
      if (answer.status === 404) return undefined;
      if (answer.status >= 300) throw api.failureOf(request, answer);
      const found = shape(answer.json());
      return isThere(found) ? found : undefined;
    },
    create: async (kind, body, signal) =>
      call({ method: "POST", url: await collection(kind, signal), json: body, secrets: keysIn(body) }, signal),
    async update(kind, id, body, signal) {
      const url = `${await collection(kind, signal)}/${encodeURIComponent(id)}`;
      await call({ method: "PUT", url, json: body, secrets: keysIn(body) }, signal);
    },
    async act(resource, action, signal, input) {
      const actions = resource.at("actions");
      const link = actions.isAbsent() ? undefined : textIn(actions.at(action));
      if (link === undefined) return false;
      await call({ method: "POST", url: here(link), ...(input ? { json: input } : {}) }, signal);
      return true;
    },
    async subscribe(on, signal) {
      const { collections, version } = await known(signal);
      const link = collections.get("subscribes") ?? `${here(`${base.origin}/${version}`)}/subscribe`;
      const url = `${link.replace(/^http/, "ws")}?eventNames=resource.change&limit=-1&sockId=1`;
      signal.throwIfAborted();
      const socket = new WebSocket(url, {
        headers,
        handshakeTimeout: config.timeout,
        maxPayload: mostMessageBytes,
        followRedirects: false,
        ...trust(config.ca),
        ...(config.insecure ? { rejectUnauthorized: false } : {}),
      });
      await new Promise<void>((resolve, reject) => {
        let timer: NodeJS.Timeout | undefined;
        const alive = () => {
          clearTimeout(timer);
          timer = setTimeout(() => socket.terminate(), silence);
        };
        const stop = () => socket.terminate();
        const end = (error?: Error) => {
          clearTimeout(timer);
          signal.removeEventListener("abort", stop);
          if (error)
            reject(new ProviderFailure("Unavailable", `${base.host}/subscribe: ${error.message.slice(0, 200)}`));
          else resolve();
        };
        signal.addEventListener("abort", stop, { once: true });
        alive();
        socket.on("open", () => on.open());
        socket.on("ping", alive);
        socket.on("message", (data) => {
          alive();
          const event = eventIn(Buffer.isBuffer(data) ? data.toString() : "");
          if (event) on.change(event.type, event.resource);
        });
        socket.on("error", end);
        socket.on("close", () => end());
      });
    },
  };
}

/** The key of a certificate. */
const keysIn = (body: object): readonly string[] => ("key" in body && typeof body.key === "string" ? [body.key] : []);

/** A change that Rancher tells of; undefined: a ping, or something that nobody can read. */
function eventIn(text: string): { type: string; resource: Shape } | undefined {
  try {
    const event = shape(JSON.parse(text));
    if (textIn(event.at("name")) !== "resource.change") return undefined;
    const resource = event.at("data").at("resource");
    return { type: textIn(event.at("resourceType")) ?? "", resource };
  } catch {
    return undefined;
  }
}
