import { canonicalHost } from "../host.ts";
import { type Route, routesOf, type RoutingModel } from "../model.ts";
import { type AskedRequest, type Outcome, outcomeOf } from "../outcome.ts";
import { textOf } from "../owner.ts";
import { canonicalPath } from "../path.ts";
import { parseAccessLogLine, type LoggedRequest } from "./access-log.ts";

/** Requests of the log that would fare otherwise, in the same way. */
export interface ReplayDifference {
  readonly method: string;
  /** "" when the log does not say it. */
  readonly host: string;
  readonly path: string;
  /** What the log says became of it. */
  readonly was: string;
  readonly is: string;
  /** Object and field that decide now; absent where none does. */
  readonly by?: { readonly object: string; readonly field: string };
  readonly requests: number;
  /** Line of the log, from 1, where it was first met. */
  readonly line: number;
}

export interface ReplayReport {
  readonly lines: number;
  /** Lines that are in no format that is known. */
  readonly unread: number;
  readonly same: number;
  readonly different: number;
  /** Requests whose path is matched in another spelling than they have: they depend on its being normalised. */
  readonly normalised: number;
  /** Requests of which the log says too little to compare: neither host nor backend. */
  readonly unclear: number;
  /** The most frequent first. */
  readonly differences: readonly ReplayDifference[];
  /** Further differences that are counted but not listed one by one. */
  readonly more: number;
}

export interface ReplayOptions {
  /** Host of lines that do not say one. */
  readonly host?: string;
  /** Scheme of lines that do not say one. Default: either, where the host has a certificate. */
  readonly scheme?: "http" | "https";
  /** Different kinds of differences that are remembered. Default: 10,000. */
  readonly most?: number;
}

export interface Replay {
  /** The next line of the log. */
  line(text: string): void;
  report(): ReplayReport;
}

/** Hosts that are tried for a line without one. */
const mostHosts = 256;

/**
 * Leads the requests of an access log through a model, and compares what becomes of them with what became of them then: the backend, or
 * where none was asked, the status. Passwords and limits are not replayed: what they kept out (401, 403, 429, 503) is compared only where
 * a backend was asked. Memory is bounded by the number of different differences.
 */
export function createReplay(model: RoutingModel, options: ReplayOptions = {}): Replay {
  const hostsByUpstream = indexHosts(model);
  const allHosts = [...new Set([...hostsByUpstream.values()].flatMap((hosts) => [...hosts]))].slice(0, mostHosts);
  const secure = new Set(model.listeners.flatMap((listener) => certificateNames(listener)));
  const known = new Map<string, ReplayDifference>();
  const most = options.most ?? 10_000;
  let [lines, unread, same, different, unclear, normalised, more] = [0, 0, 0, 0, 0, 0, 0];

  /** Where the log does not say it, one that agrees is enough; the likelier is told otherwise. */
  function schemesOf({ scheme }: LoggedRequest, host: string): readonly ("http" | "https")[] {
    if (scheme ?? options.scheme) return [scheme ?? options.scheme ?? "http"];
    const name = canonicalHost(host) ?? "";
    return secure.has(name) || secure.has(name.replace(/^[^.]+/, "*")) ? ["http", "https"] : ["http"];
  }

  function follow(request: LoggedRequest, host: string): { outcome: Outcome; agreed: boolean } {
    let outcome: Outcome = { kind: "answer", status: 404, why: "" };
    for (const scheme of schemesOf(request, host)) {
      const asked: AskedRequest = {
        host,
        path: request.path,
        query: request.query,
        method: request.method,
        scheme,
        ...(request.client === undefined ? {} : { client: request.client }),
      };
      outcome = outcomeOf(model, { ...asked, listener: listenerFor(model, scheme) });
      if (agrees(request, outcome)) return { outcome, agreed: true };
    }
    return { outcome, agreed: false };
  }

  function compare(request: LoggedRequest): Outcome | "same" | "unclear" {
    const host = request.host ?? options.host;
    if (host !== undefined) {
      const { outcome, agreed } = follow(request, host);
      return agreed ? "same" : outcome;
    }
    const hosts = request.upstream === undefined ? allHosts : [...(hostsByUpstream.get(request.upstream) ?? [])];
    // Without a host and a backend any host may have been meant: one that agrees is enough, and none proves nothing.
    let last: Outcome | undefined;
    for (const each of hosts.slice(0, mostHosts)) {
      const { outcome, agreed } = follow(request, each);
      if (agreed) return "same";
      last = outcome;
    }
    if (request.upstream === undefined) return "unclear";
    return last ?? { kind: "answer", status: 404, why: "nothing leads to that backend any more" };
  }

  function note(request: LoggedRequest, outcome: Outcome): void {
    const host = request.host ?? options.host ?? "";
    const [was, is] = [wordsOfLog(request), wordsOf(outcome)];
    const id = JSON.stringify([request.method, host, request.path, was, is]);
    const before = known.get(id);
    if (before) known.set(id, { ...before, requests: before.requests + 1 });
    else if (known.size >= most) more++;
    else {
      const owner = outcome.route?.owner;
      const by = owner && { object: textOf(owner.object), field: owner.field };
      known.set(id, {
        method: request.method,
        host,
        path: request.path,
        was,
        is,
        ...(by ? { by } : {}),
        requests: 1,
        line: lines,
      });
    }
  }

  return {
    line(text) {
      lines++;
      if (text.trim() === "") return;
      const request = parseAccessLogLine(text);
      if (!request) {
        unread++;
        return;
      }
      if (isOtherSpelling(request.path)) normalised++;
      const verdict = compare(request);
      if (verdict === "same") same++;
      else if (verdict === "unclear") unclear++;
      else {
        different++;
        note(request, verdict);
      }
    },
    report: () => ({
      lines,
      unread,
      same,
      different,
      normalised,
      unclear,
      differences: [...known.values()].sort((a, b) => b.requests - a.requests || a.line - b.line),
      more,
    }),
  };
}

function isOtherSpelling(path: string): boolean {
  const canonical = canonicalPath(path);
  return typeof canonical === "string" && (canonical !== path || path.includes("//"));
}

/** Name of the first listener of a scheme. */
export function listenerFor(model: RoutingModel, scheme: "http" | "https"): string {
  return model.listeners.find(({ protocol }) => (protocol === "HTTP") !== (scheme === "https"))?.name ?? scheme;
}

function certificateNames(listener: RoutingModel["listeners"][number]): string[] {
  return [...listener.servers.values()].flatMap(({ tls }) => [...(tls?.certificates.keys() ?? [])]);
}

/** ingress-nginx's name of a pool: `NAMESPACE-SERVICE-PORT`. */
function upstreamOf(pool: string): string {
  const [, namespace = "", service = "", port = ""] = /^([^/]*)\/([^:]*):([^/@]*)/.exec(pool) ?? [];
  return `${namespace}-${service}-${port}`;
}

const defaultBackend = "upstream-default-backend";

function agrees({ upstream, alternative, status, local }: LoggedRequest, outcome: Outcome): boolean {
  if (outcome.kind === "redirect") return outcome.status === status;
  if (outcome.kind === "answer")
    return outcome.status === status || (outcome.status === 404 && upstream === defaultBackend);
  if (local && status >= 301 && status <= 308) return false;
  if (upstream === undefined) return true;
  const names = outcome.pools.map(upstreamOf);
  return names.includes(upstream) && (alternative === undefined || names.includes(alternative));
}

function wordsOfLog({ status, upstream, alternative, local }: LoggedRequest): string {
  if (upstream === undefined || local) return String(status);
  return `${status} from ${upstream}${alternative === undefined ? "" : ` or ${alternative}`}`;
}

/** An outcome in a few words. */
export function wordsOf(outcome: Outcome): string {
  if (outcome.kind === "forward") {
    const host = outcome.hostname === undefined ? "" : ` as host ${outcome.hostname}`;
    return `to ${outcome.pools.map(poolWords).join(" or ")} with path ${outcome.path}${host}`;
  }
  if (outcome.kind === "redirect") return `${outcome.status} to ${outcome.location}`;
  return `${outcome.status}: ${outcome.why}`;
}

const poolWords = (pool: string): string => pool.replace(/@.*$/, "");

/** Hosts whose routes lead to a backend; for a wildcard one name that it covers. */
function indexHosts(model: RoutingModel): Map<string, Set<string>> {
  const index = new Map<string, Set<string>>();
  const add = ({ host, rule }: Route): void => {
    const name = host === "" ? "host.invalid" : host.replace(/^\*/, "any");
    for (const pool of [...rule.backends.map((backend) => backend.pool), rule.canary?.pool, rule.fallbackPool]) {
      if (pool === undefined) continue;
      const upstream = upstreamOf(pool);
      const hosts = index.get(upstream);
      if (hosts) hosts.add(name);
      else index.set(upstream, new Set([name]));
    }
  };
  for (const listener of model.listeners) for (const route of routesOf(listener)) add(route);
  return index;
}
