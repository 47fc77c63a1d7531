import { setTimeout as sleep } from "node:timers/promises";
import { createApi, type ApiRequest } from "../provider/api.ts";
import { ProviderFailure } from "../provider/contract.ts";
import { shape, textIn, type Shape } from "../provider/shape.ts";
import type { OpenStackConfig } from "./config.ts";
import { createKeystone, type Keystone, type Token } from "./keystone.ts";

export type Kind = "loadbalancers" | "listeners" | "pools" | "healthmonitors" | "l7policies";

const single: Record<Kind, string> = {
  loadbalancers: "loadbalancer",
  listeners: "listener",
  pools: "pool",
  healthmonitors: "healthmonitor",
  l7policies: "l7policy",
};

/** An answer that is not a success, with its status: who asks decides what it means. */
export class OctaviaError extends ProviderFailure {
  readonly status: number;

  constructor(status: number, { reason, message, again }: ProviderFailure) {
    super(reason, message, again);
    this.status = status;
  }
}

/** Octavia's API v2, as far as it is used here. All calls throw ProviderFailure; answers of 400 and more OctaviaError. */
export interface Octavia {
  /** Newest version that it speaks, as [2, 26]. Asked for once. */
  version(signal: AbortSignal): Promise<readonly [number, number]>;
  /** All that match, page by page. */
  list(kind: Kind, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly Shape[]>;
  get(kind: Kind, id: string, signal: AbortSignal): Promise<Shape>;
  members(pool: string, signal: AbortSignal): Promise<readonly Shape[]>;
  rules(policy: string, signal: AbortSignal): Promise<readonly Shape[]>;
  addRule(policy: string, rule: object, signal: AbortSignal): Promise<void>;
  create(kind: Kind, body: object, signal: AbortSignal): Promise<void>;
  update(kind: Kind, id: string, body: object, signal: AbortSignal): Promise<void>;
  setMembers(pool: string, members: readonly object[], signal: AbortSignal): Promise<void>;
  remove(kind: Kind, id: string, signal: AbortSignal, cascade?: boolean): Promise<void>;
  failOver(id: string, signal: AbortSignal): Promise<void>;
}

const pageSize = 500;
const mostPages = 200;
/** Milliseconds after which a new token is in another second than a refused one. */
const revocationGrain = 1_100;

export function createOctavia(config: OpenStackConfig, keystone: Keystone = createKeystone(config)): Octavia {
  let last: Token | undefined;
  const api = createApi({
    timeout: config.timeout,
    insecure: config.insecure,
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    secrets: () => (last ? [last.id] : []),
    messageIn: (body) => textIn(shape(body).at("faultstring")),
    // Octavia says 403 for both.
    reasonOf: ({ status }, message) => (status === 403 && /quota/i.test(message) ? "Quota" : undefined),
  });

  async function call(
    method: ApiRequest["method"],
    path: string,
    signal: AbortSignal,
    json?: object,
  ): Promise<unknown> {
    for (let tries = 0; ; tries++) {
      const token = await keystone.token(signal);
      last = token;
      const request: ApiRequest = {
        method,
        url: `${token.octavia}${path.replace("{project}", encodeURIComponent(token.project))}`,
        headers: { "x-auth-token": token.id },
        ...(json === undefined ? {} : { json }),
      };
      const answer = await api.call(request, signal);
      if (answer.status === 401 && tries < 2) {
        keystone.refused(token);
        // Who revokes tokens revokes those of the same second too, also one that was given after: Keystone counts whole seconds.
        if (tries > 0) await sleep(revocationGrain, undefined, { signal });
        continue;
      }
      if (answer.status >= 300) throw new OctaviaError(answer.status, api.failureOf(request, answer));
      return answer.json();
    }
  }

  const base = "/v2/lbaas";
  const at = (kind: Kind, id: string) => `${base}/${kind}/${encodeURIComponent(id)}`;

  async function pages(path: string, kind: string, query: Readonly<Record<string, string>>, signal: AbortSignal) {
    const found: Shape[] = [];
    for (let marker: string | undefined, page = 0; page < mostPages; page++) {
      const words = new URLSearchParams({ ...query, limit: String(pageSize), ...(marker ? { marker } : {}) });
      // The project's place is filled in when it is known.
      const text = words.toString().replaceAll("%7Bproject%7D", "{project}");
      const answer = shape(await call("GET", `${path}?${text}`, signal));
      const items = answer.at(kind).list();
      found.push(...items);
      // Servers may have a lower limit of their own: the last page is the one without a link to the next.
      const links = answer.at(`${kind}_links`);
      const hasNext = !links.isAbsent() && links.list().some((link) => link.at("rel").text() === "next");
      const next = items.at(-1)?.at("id").text();
      if (!hasNext || next === undefined || next === marker) return found;
      marker = next;
    }
    throw new ProviderFailure("Broken", `${kind}: more than ${mostPages} pages`);
  }

  let version: Promise<readonly [number, number]> | undefined;
  return {
    version(signal) {
      version ??= call("GET", "/", signal).then((answer) => newest(shape(answer).at("versions").list()));
      return version.catch((error: unknown) => {
        version = undefined;
        throw error;
      });
    },
    list: (kind, query, signal) => pages(`${base}/${kind}`, kind, { ...query, project_id: "{project}" }, signal),
    get: async (kind, id, signal) => shape(await call("GET", at(kind, id), signal)).at(single[kind]),
    members: (pool, signal) => pages(`${at("pools", pool)}/members`, "members", {}, signal),
    rules: (policy, signal) => pages(`${at("l7policies", policy)}/rules`, "rules", {}, signal),
    addRule: async (policy, rule, signal) =>
      void (await call("POST", `${at("l7policies", policy)}/rules`, signal, { rule })),
    create: async (kind, body, signal) =>
      void (await call("POST", `${base}/${kind}`, signal, { [single[kind]]: body })),
    update: async (kind, id, body, signal) => void (await call("PUT", at(kind, id), signal, { [single[kind]]: body })),
    setMembers: async (pool, members, signal) =>
      void (await call("PUT", `${at("pools", pool)}/members`, signal, { members })),
    remove: async (kind, id, signal, cascade = false) =>
      void (await call("DELETE", `${at(kind, id)}${cascade ? "?cascade=true" : ""}`, signal)),
    failOver: async (id, signal) => void (await call("PUT", `${at("loadbalancers", id)}/failover`, signal)),
  };
}

function newest(versions: readonly Shape[]): readonly [number, number] {
  let best: readonly [number, number] | undefined;
  for (const one of versions) {
    const [, major, minor] = /^v(\d{1,3})\.(\d{1,4})$/.exec(one.at("id").text()) ?? [];
    if (major !== "2" || minor === undefined) continue;
    if (!best || Number(minor) > best[1]) best = [2, Number(minor)];
  }
  if (!best) throw new ProviderFailure("Refused", "Octavia does not speak version 2 of its API");
  return best;
}
