import { createHash } from "node:crypto";
import {
  type Ask,
  type Backend,
  changedKeys,
  type FieldMatch,
  type Filter,
  type HostRoutes,
  type Listener,
  recall,
  type Remembered,
  type Route,
  type RoutingModel,
  type Rule,
  type Server,
  serverFor,
  type StreamRoute,
  type UsersSecret,
} from "../../routing/index.ts";
import { automatonOf } from "./expression.ts";
import { type Entries, putRow } from "./entries.ts";
import { type Row, rowText } from "./row.ts";
import { keyOf } from "./command.ts";
import type { Configuration } from "../dataplane.ts";
import { type HostValues, sameSet, valuesOfHosts } from "../hosts.ts";
import { affinityRow, askRow, canaryRow, policyRow, templateRow } from "./policies.ts";
import { slotPoolKey } from "./slot-pools.ts";
import type { Slot } from "./slots.ts";

/** The rows of one host of a server, of the server, or of the listener. Those of a host are the same object while they are the same. */
export interface Part {
  /** `tagOf` its listener. */
  readonly tag: string;
  /** What the Lua program looks up. No other part has these keys. */
  readonly own: Entries;
  /** The same, with keys that say what they hold: other parts may have them too. */
  readonly shared: Entries;
  /** Keys of pools whose endpoints the Lua program chooses from, or asks itself. */
  readonly watched: ReadonlySet<string>;
  /** Those may be any. */
  readonly watchesAll: boolean;
  /** What the listener's frontend looks up without Lua: host names whose paths `paths` has, all of them. */
  readonly hosts: Entries;
  /** `host/path/` and `host/path?` to a slot; the longest that a request's `host/path?` begins with counts. */
  readonly paths: Entries;
  /** How each route stands in lists: its slot, or the key of its row. */
  readonly items: ReadonlyMap<Route | StreamRoute, string>;
}

/** The rows of a server of a listener, or of the listener itself. */
export interface ServerTables {
  readonly about: Part;
  readonly hosts?: HostValues<Part>;
}

export interface Tables {
  /** Tags of the listeners. */
  readonly listeners: readonly string[];
  /** By tag, and tag with the server's name. */
  readonly servers: ReadonlyMap<string, ServerTables>;
  /** Keys of pools whose endpoints the Lua program chooses from, or asks itself. */
  readonly watched: ReadonlySet<string>;
}

export function* partsOf({ servers }: Tables): Generator<Part> {
  for (const { about, hosts } of servers.values()) {
    yield about;
    for (const { value } of hosts?.entries.values() ?? []) yield value;
  }
}

export interface TablesInput {
  readonly model: RoutingModel;
  /** By pool key. */
  readonly slots: ReadonlyMap<string, Slot>;
  /** Ids of routes that cannot be served: their requests get 500. */
  readonly refused: ReadonlySet<string>;
  readonly users?: Configuration["users"];
}

/** What the rows of a host depend on beside its routes. */
interface World {
  /** By pool key. */
  readonly slot: Slot | undefined;
  /** By route id. */
  readonly refused: boolean;
  /** By `UsersSecret` as JSON. */
  readonly users: ReadonlyMap<string, string> | undefined;
  /** Whether the frontend can look up the host's paths by itself. */
  readonly native: boolean;
  /** What the host's requests get that none of its own routes takes. */
  readonly last: Route | undefined;
}

const digest = (text: string, length: number): string =>
  createHash("sha256").update(text).digest("hex").slice(0, length);

/** A listener in the names of files, frontends and rows. */
export function tagOf(listener: Pick<Listener, "name">): string {
  return `l${digest(listener.name, 12)}`;
}

/** What of a path may stand in a native table; other paths are the Lua program's. */
const plainPath = /^[A-Za-z0-9/._~%-]*$/;
const plainHost = /^[a-z0-9_.-]+$/;

type Answers = { readonly [K in keyof World]: (key: string) => World[K] };

/** Makes the rows that one model after the other says. A host that means the same costs no more than a look. */
export function createTables(): (input: TablesInput) => Tables {
  /** By tag, server and host name. */
  const known = new WeakMap<HostRoutes, Map<string, Remembered<World, Part>>>();
  let before: ReadonlyMap<string, ServerTables> = new Map();
  /** What was asked for the last tables, and what hosts of each server were made in. */
  let last: Pick<TablesInput, "slots" | "refused"> = { slots: new Map(), refused: new Set() };
  let epochs = new Map<string, Epoch>();
  let world = {};

  return ({ model, slots, refused, users }) => {
    const moved = changedKeys(last.slots, slots).some((key) => last.slots.has(key) && slots.has(key));
    const same = sameSet(last.refused, refused);
    if (moved || same !== last.refused) world = {};
    last = { slots, refused: same };
    const nextEpochs = new Map<string, Epoch>();
    const servers = new Map<string, ServerTables>();
    const answers: Answers = {
      slot: (key) => slots.get(key),
      refused: (id) => refused.has(id),
      users: (secret) => users?.(JSON.parse(secret) as UsersSecret),
      native: () => false,
      last: () => undefined,
    };
    const ask: Ask<World> = (what, key) => answers[what](key);
    for (const listener of model.listeners) {
      const tag = tagOf(listener);
      const whole = createPart(tag, ask);
      whole.put(keyOf("l", tag), rowText([listener.protocol, listener.servers.size, listener.port]));
      whole.addChallenges(listener);
      servers.set(tag, { about: whole.part() });
      const shape = [listener.protocol, ...listener.servers.keys()].join(" ");
      for (const server of listener.servers.values()) {
        const name = keyOf(tag, server.hostname);
        const about = createPart(tag, ask);
        about.addServer(server);
        const hosts = server.kind === "http" ? hostsOf(listener, shape, server, tag, name) : undefined;
        servers.set(name, { about: about.part(), ...(hosts ? { hosts } : {}) });
      }
    }
    before = servers;
    epochs = nextEpochs;
    const watched = new Set<string>();
    for (const { watchesAll, watched: some } of partsOf({ listeners: [], servers, watched }))
      if (watchesAll) for (const pool of model.pools.keys()) watched.add(pool);
      else if (some.size > 0) for (const pool of some) watched.add(pool);
    return { listeners: model.listeners.map(tagOf), servers, watched };

    function hostsOf(
      listener: Listener,
      shape: string,
      server: Server & { kind: "http" },
      tag: string,
      name: string,
    ): HostValues<Part> {
      const { semantics, fallback } = server.hosts;
      const rest = semantics === "Ingress" ? fallback : undefined;
      // Where a server name and a host must agree, that is more than one look-up.
      const oneLookUp = listener.protocol === "HTTPS" ? listener.servers.size === 1 : listener.protocol === "HTTP";
      const own: Answers = {
        ...answers,
        native: (host) => oneLookUp && serverFor(listener, host) === server,
        last: () => rest,
      };
      const askHere: Ask<World> = (what, key) => own[what](key);
      const old = epochs.get(name);
      const epoch = old?.world === world && old.shape === shape && old.rest === rest ? old : { world, shape, rest };
      nextEpochs.set(name, epoch);
      return valuesOfHosts(server.hosts, before.get(name)?.hosts, epoch, (table, host) => {
        let remembered = known.get(table);
        if (!remembered) known.set(table, (remembered = new Map()));
        const at = `${name}|${host}`;
        const now = recall(remembered.get(at), askHere, (asked) => {
          const made = createPart(tag, asked);
          made.addHost(server, host, table);
          return made.part();
        });
        remembered.set(at, now);
        return now.value;
      });
    }
  };
}

/** All that the rows of a server's hosts depend on beside them. */
interface Epoch {
  readonly world: object;
  /** Protocol and servers of the listener. */
  readonly shape: string;
  readonly rest: Route | undefined;
}

/** Writes the rows of one part. */
function createPart(tag: string, ask: Ask<World>) {
  const own = new Map<string, string>();
  const shared = new Map<string, string>();
  const hosts = new Map<string, string>();
  const paths = new Map<string, string>();
  const items = new Map<Route | StreamRoute, string>();
  const watched = new Set<string>();
  let watchesAll = false;

  const put = (key: string, text: string, into = own): void => putRow(into, key, text, shared);

  /** The slot of a pool for requests of a rule. */
  const slotOf = (pool: string, { retry }: Rule): Slot | undefined => ask("slot", slotPoolKey(pool, retry));

  /** The slot of a pool whose endpoints the program must know; "" without one. */
  function watchedSlot(pool: string | undefined): Slot {
    if (pool === undefined) return "";
    watched.add(pool);
    return ask("slot", pool) ?? "";
  }

  /** How a route stands in a list: its slot, when that is all there is to it; else the key of its row. */
  function itemOf(route: Route | StreamRoute): string {
    const known = items.get(route);
    if (known !== undefined) return known;
    const slot = plainSlot(route);
    const item = slot ?? rowOf(route);
    items.set(route, item);
    return item;
  }

  function plainSlot(route: Route | StreamRoute): Slot | undefined {
    const { rule } = route;
    const [backend] = rule.backends;
    if (ask("refused", route.id) || rule.backends.length !== 1 || backend?.pool === undefined) return undefined;
    if (backend.weight === 0 || backend.filters.length + rule.filters.length > 0) return undefined;
    const { request, backendRequest, read } = rule.timeouts;
    if (request !== undefined || backendRequest !== undefined || read !== undefined) return undefined;
    if (rule.canary || rule.fallbackPool !== undefined || rule.affinity || rule.hashBy) return undefined;
    if ("headers" in route && (conditional(route) || route.path?.type === "RegularExpression")) return undefined;
    return slotOf(backend.pool, rule);
  }

  function rowOf(route: Route | StreamRoute): string {
    const row: Row[] = "headers" in route ? conditionsOf(route) : [];
    if (ask("refused", route.id)) row.push(["no"]);
    else row.push(...ruleRow(route.rule));
    // Without any backend its requests get 500.
    const text = rowText(row.length === 0 ? [["no"]] : row);
    const id = `r${digest(text, 20)}`;
    put(id, text, shared);
    return id;
  }

  function ruleRow(rule: Rule): Row[] {
    const { filters, backends, timeouts, canary, fallbackPool, fallbackFields, affinity, hashBy, hashSubset } = rule;
    const row: Row[] = filters.map(rowOfFilter);
    const { request, backendRequest, read } = timeouts;
    const limit = Math.min(request || Infinity, backendRequest || Infinity, read || Infinity);
    if (limit < Infinity) row.push(["t", limit]);
    if (canary) row.push(canaryRow(canary, slotOf(canary.pool, rule) ?? ""));
    const spare = fallbackPool === undefined ? undefined : slotOf(fallbackPool, rule);
    if (spare !== undefined) row.push(["fallback", spare, ...(fallbackFields ? [rowOfFilter(fallbackFields)] : [])]);
    if (affinity) row.push(affinityRow(affinity));
    if (hashBy) row.push(["hash", templateRow(hashBy), hashSubset ?? 1]);
    if (affinity || hashBy)
      for (const pool of [canary?.pool, ...backends.map((each) => each.pool)])
        if (pool !== undefined) watchedSlot(slotPoolKey(pool, rule.retry));
    for (const backend of backends) if (backend.weight > 0) row.push(backendRow(backend, rule));
    return row;
  }

  function backendRow({ pool, weight, filters }: Backend, rule: Rule): Row {
    const slot = pool === undefined ? undefined : slotOf(pool, rule);
    return ["b", slot ?? "", weight, ...filters.map(rowOfFilter)];
  }

  function rowOfFilter(filter: Filter): Row {
    switch (filter.type) {
      case "BasicAuth":
      case "DigestAuth":
        return [filter.type === "BasicAuth" ? "basic" : "digest", filter.realm, usersRow(filter.users)];
      case "ExternalAuth":
        // Whoever is found by host and path may be anybody.
        watchesAll ||= filter.pool === undefined;
        return askRow(filter, watchedSlot(filter.pool));
      case "ErrorPages":
        return ["errors", watchedSlot(filter.pool), filter.codes, Object.entries(filter.about)];
      case "Mirror":
        return [
          "mirror",
          watchedSlot(filter.pool),
          filter.numerator,
          filter.denominator,
          filter.host ?? "",
          filter.withoutBody ? 1 : 0,
        ];
      default:
        return filterRow(filter);
    }
  }

  /** The key of the users' row; "" without any. */
  function usersRow(secret: UsersSecret): string {
    const text = rowText([...(ask("users", JSON.stringify(secret)) ?? [])].map(([name, entry]) => [name, entry]));
    const id = text === "" ? "" : `u${digest(text, 20)}`;
    if (id !== "") put(id, text, shared);
    return id;
  }

  function addHost(server: Server & { kind: "http" }, host: string, table: HostRoutes): void {
    const at = (kind: string, ...more: string[]): string => keyOf(kind, tag, server.hostname, host, ...more);
    const fallback = table.fallback ? itemOf(table.fallback) : "";
    const longestPrefix = `${table.longestPrefix}${table.mergeSlashes ? "m" : ""}`;
    put(at("h"), rowText([longestPrefix, fallback, ...table.regex.map(itemOf)]));
    for (const [path, list] of table.exact) put(at("e", path), rowText(list.map(itemOf)));
    for (const [path, list] of table.prefix) put(at("p", path), rowText(list.map(itemOf)));
    addNative(host, table);
  }

  function addNative(host: string, table: HostRoutes): void {
    if (!plainHost.test(host) || !ask("native", host) || table.regex.length > 0 || table.mergeSlashes) return;
    const rows: [string, string][] = [];
    const last = table.fallback ?? ask("last", "");
    const lists: [string, readonly Route[]][] = [
      ...(last && !table.prefix.has("") ? [[`${host}/`, [last]] as [string, readonly Route[]]] : []),
      ...[...table.prefix].flatMap(([path, list]): [string, readonly Route[]][] => [
        [`${host}${path}/`, list],
        [`${host}${path}?`, list],
      ]),
      ...[...table.exact].map(([path, list]): [string, readonly Route[]] => [`${host}${path}?`, list]),
    ];
    for (const [key, [first]] of lists) {
      const slot =
        first && !conditional(first) && plainPath.test(first.path?.value ?? "") ? plainSlot(first) : undefined;
      if (slot === undefined) return;
      rows.push([key, slot]);
    }
    hosts.set(host, "1");
    for (const [key, slot] of rows) paths.set(key, slot);
  }

  function addServer(server: Server): void {
    if (server.kind === "stream") {
      put(keyOf("s", tag, server.hostname), rowText(["stream", server.tls ? "1" : "0"]));
      const { exact, wildcard, any } = server.streams;
      for (const [host, route] of exact) put(keyOf("n", tag, server.hostname, host), itemOf(route));
      for (const [suffix, route] of wildcard) put(keyOf("n", tag, server.hostname, `*${suffix}`), itemOf(route));
      if (any) put(keyOf("n", tag, server.hostname, ""), itemOf(any));
      return;
    }
    const { semantics, fallback } = server.hosts;
    put(keyOf("s", tag, server.hostname), rowText([semantics, fallback ? itemOf(fallback) : ""]));
  }

  function addChallenges({ challenges }: Listener): void {
    for (const [name, route] of challenges ?? []) put(keyOf("c", tag, name), itemOf(route));
  }

  const part = (): Part => ({ tag, own, shared, hosts, paths, items, watched, watchesAll });
  return { part, put, addServer, addHost, addChallenges };
}

function conditional({ method, headers, query }: Route): boolean {
  return method !== undefined || headers.length > 0 || query.length > 0;
}

function conditionsOf({ path, method, headers, query }: Route): Row[] {
  const fields = (kind: string, list: readonly FieldMatch[]): Row[] =>
    list.map(({ type, name, value }) => [kind, type, name, wanted(type, value)]);
  return [
    ...(path ? [["path", path.type, wanted(path.type, path.value)]] : []),
    ...(method === undefined ? [] : [["method", method]]),
    ...fields("header", headers),
    ...fields("query", query),
  ];
}

/** What is compared with: a text, or the automaton of an expression. One that is too large matches nothing: the route is refused. */
function wanted(type: string, value: string): string {
  return type === "RegularExpression" ? (automatonOf(value) ?? "") : value;
}

function filterRow(filter: Filter): Row {
  switch (filter.type) {
    case "RequestHeaders":
    case "ResponseHeaders": {
      const { set, add, remove } = filter.changes;
      return [
        filter.type === "RequestHeaders" ? "request" : "response",
        ...remove.map((name) => ["remove", name]),
        ...set.map(({ name, value }) => ["set", name, value]),
        ...add.map(({ name, value }) => ["add", name, value]),
      ];
    }
    case "Redirect": {
      const { scheme = "", hostname = "", path, port = "", status } = filter.redirect;
      return ["redirect", status, scheme, hostname, port, ...(path ? [path.type, path.value] : [])];
    }
    case "Rewrite":
      return ["rewrite", filter.hostname ?? "", ...(filter.path ? [filter.path.type, filter.path.value] : [])];
    case "Cors": {
      const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAge, everywhere } =
        filter.cors;
      return [
        "cors",
        allowOrigins,
        allowMethods,
        allowHeaders,
        exposeHeaders,
        allowCredentials ? 1 : 0,
        maxAge,
        everywhere ? 1 : 0,
      ];
    }
    case "RegexRewrite":
    case "TemplateHeaders":
    case "AnswerRewrite":
    case "StrictTransport":
    case "SslRedirect":
    case "Tracing":
    case "UrlRedirect":
    case "SourceRanges":
    case "RateLimit":
    case "ConnectionLimit":
    case "BodyLimit":
    case "AnswerRate":
    case "CloseConnection":
    case "ClientCertificate":
      return policyRow(filter);
    case "Unsupported":
    default:
      // What guards requests and cannot be done keeps all of them out; the refusal says so.
      return ["no"];
  }
}
