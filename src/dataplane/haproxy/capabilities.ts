import {
  type ClientValidation,
  type Filter,
  type Listener,
  type Route,
  type RoutingModel,
  routesOf,
  routesOfHost,
  type Server,
  type StreamRoute,
  streamsOf,
} from "../../routing/index.ts";
import { type CommandRunner, CommandError } from "../../system/index.ts";
import { annotationFeatures, basicFeatures, gatewayFeatures } from "../common-features.ts";
import type { Feature, Refusal } from "../dataplane.ts";
import { refusalsOf } from "../features.ts";
import { retrySetsOf } from "../retry-sets.ts";
import { gatherHosts } from "../hosts.ts";
import { authoritiesFile, revocationFile } from "./authorities.ts";
import { wayTo } from "./endpoints.ts";
import { automatonOf, capturesOf } from "./expression.ts";
import { surroundings } from "./instance.ts";
import { anywhere } from "./policies.ts";

/** What HAProxy 2.6 and newer do with this program. UDP it cannot do. */
export const capabilities: ReadonlySet<Feature> = new Set<Feature>([
  ...basicFeatures,
  ...gatewayFeatures,
  ...annotationFeatures,
  "BalanceAlgorithm",
  // No BackendTLSPolicySANValidation: there are no lists of names, no URIs, and fetches of the certificate come when the request has been sent.
  // Without NextUpstreamTimeout, and without NextUpstream429, which version 2.6 does not know.
]);

/** The same from HAProxy 2.7 on, which holds answers to a rate. */
const capabilitiesWithRates: ReadonlySet<Feature> = new Set([...capabilities, "AnswerRate"]);

/** What an HAProxy of this version can do, `major * 100 + minor`. */
export function capabilitiesOf(version: number): ReadonlySet<Feature> {
  return version >= 207 ? capabilitiesWithRates : capabilities;
}

/** Whether a route's answers have a rate. */
export function isPaced({ listeners }: RoutingModel): boolean {
  return listeners.some((listener) => pacedHosts(listener).length > 0);
}

const pacedHosts = gatherHosts((host) =>
  [...routesOfHost(host)].some(({ rule }) => rule.filters.some(({ type }) => type === "AnswerRate")) ? true : undefined,
);

/** The routes of a model that are not served, with what is missing. */
export function refusedBy(model: RoutingModel, can = capabilities): Refusal[] {
  const refused = [...refusalsOf(model, can), ...retrySetsOf(model.listeners).refused];
  for (const listener of model.listeners) {
    for (const feature of lackingOf(listener))
      for (const { id } of [...routesOf(listener), ...streamsOf(listener)]) refused.push({ route: id, feature });
    for (const server of listener.servers.values())
      for (const { id } of unguardedRoutes(server)) refused.push({ route: id, feature: "ClientCertificate" });
  }
  for (const listener of model.listeners)
    for (const { unreadable, asked } of lookAt(listener)) {
      for (const each of unreadable) refused.push(each);
      for (const { pool: key, ...refusal } of asked) {
        const pool = model.pools.get(key);
        if (pool && wayTo(pool) === "other") refused.push(refusal);
      }
    }
  return refused;
}

/** Filters for which the program asks others. */
const asking: Readonly<Partial<Record<Filter["type"], Feature>>> = {
  ExternalAuth: "ExternalAuth",
  ErrorPages: "ErrorPages",
  Mirror: "HTTPRouteRequestMirror",
};

/** Routes whose expressions are too large here, and pools that the program asks itself. */
const lookAt = gatherHosts((host) => {
  const unreadable: Refusal[] = [];
  const asked: (Refusal & { readonly pool: string })[] = [];
  for (const route of routesOfHost(host)) {
    const { id, rule } = route;
    if (expressionsOf(route).some((each) => automatonOf(each) === undefined))
      unreadable.push({ route: id, feature: "RegularExpression" });
    for (const filter of [...rule.filters, ...rule.backends.flatMap(({ filters }) => filters)]) {
      const feature = asking[filter.type];
      if (feature !== undefined && "pool" in filter && filter.pool !== undefined)
        asked.push({ route: id, feature, pool: filter.pool });
      if (filter.type === "RegexRewrite" && capturesOf(filter.pattern) === undefined)
        unreadable.push({ route: id, feature: "RegexRewrite" });
      const { subject } = filter.type === "ClientCertificate" ? filter : {};
      if (subject !== undefined && anywhere(subject) === undefined)
        unreadable.push({ route: id, feature: "ClientCertificate" });
      // HAProxy counts three things of a request at most.
      if (filter.type === "DigestAuth" && rule.filters.filter(({ type }) => type === "RateLimit").length > 1)
        unreadable.push({ route: id, feature: "DigestAuth" });
    }
  }
  return unreadable.length + asked.length === 0 ? undefined : { unreadable, asked };
});

function expressionsOf({ path, headers, query }: Route): string[] {
  return [...(path ? [path] : []), ...headers, ...query].flatMap(({ type, value }) =>
    type === "RegularExpression" ? [value] : [],
  );
}

/** What a port as a whole asks for: who must be shown a certificate is never served without. */
function lackingOf({ protocol, servers }: Listener): Feature[] {
  const all = [...servers.values()];
  const lacking: Feature[] = [];
  const clients = all.flatMap(({ tls }) => (tls ? [tls.clients] : []));
  // Where some names ask for what others do not, or one port cannot speak of it.
  const strict = clients.filter((each) => each?.mode === "AllowValidOnly").length;
  if (strict > 0 && (strict < clients.length || protocol !== "HTTPS"))
    lacking.push("GatewayFrontendClientCertificateValidation");
  // One port of which some names end TLS and others do not.
  if (protocol === "TLS" && all.some(({ tls, kind }) => kind === "http" && tls)) lacking.push("TLSRouteModeMixed");
  return lacking;
}

/** Routes of a name whose clients cannot be checked, and so are not let in; where nobody is without a certificate, that is so already. */
function unguardedRoutes(server: Server): (Route | StreamRoute)[] {
  const clients = server.tls?.clients;
  if (!clients || clients.mode === "AllowValidOnly" || isReadable(clients)) return [];
  if (server.kind === "stream") {
    const { exact, wildcard, any } = server.streams;
    return [...exact.values(), ...wildcard.values(), ...(any ? [any] : [])];
  }
  const { semantics, exact, wildcard, any } = server.hosts;
  const named = [...exact.values(), ...wildcard.values()];
  // Servers of Ingresses share what is for any host, and the one without a name has everybody's hosts: those are not to suffer for it.
  const own = semantics === "Gateway" ? [...named, any] : server.hostname === "" ? [any] : named;
  return own.flatMap((host) => (host ? [...routesOfHost(host)] : []));
}

function isReadable({ authorities, revoked }: ClientValidation): boolean {
  const checked = authoritiesFile(authorities, "");
  return checked !== undefined && (revoked === undefined || revocationFile(revoked, "") !== undefined);
}

const remedy = "apt-get install haproxy (2.6 or newer, with Lua), or choose another data plane";

/** What keeps this machine's HAProxy from being used, with a remedy; `undefined`: nothing. */
export async function missingHaproxy(commands: CommandRunner): Promise<string | undefined> {
  const said = await commands.run("haproxy", ["-vv"], { env: surroundings }).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  if (typeof said !== "string") return `${said.message}: ${remedy}`;
  const version = versionIn(said);
  if (version < 206) return `HAProxy ${Math.trunc(version / 100)}.${version % 100} is too old: ${remedy}`;
  if (!/\+LUA|USE_LUA=1/.test(said)) return `this HAProxy has no Lua: ${remedy}`;
  return undefined;
}

/** `major * 100 + minor`; 0 where it is not said. */
function versionIn(said: string): number {
  const [, major = "0", minor = "0"] = /HAProxy version (\d+)\.(\d+)/.exec(said) ?? [];
  return Number(major) * 100 + Number(minor);
}

/** Version of a program, as `capabilitiesOf` takes it; 0 where it does not start. */
export async function versionOf(commands: CommandRunner, program = "haproxy"): Promise<number> {
  try {
    return versionIn((await commands.run(program, ["-v"], { env: surroundings })).stdout);
  } catch (error) {
    if (error instanceof CommandError) return 0;
    throw error;
  }
}
