import type { ConfigMap, Ingress, Secret, Service } from "../../kube/index.ts";
import { expressionFault } from "../expression.ts";
import type { Filter } from "../filters.ts";
import type { BackendTls, Route, Rule } from "../model.ts";
import { type Ask as RecallAsk, recall, type Remembered } from "../recall.ts";
import { refOf } from "../owner.ts";
import { poolKey, type PoolTarget } from "../pool.ts";
import type { Canary, TemplateHeaders } from "../policies.ts";
import type { Problem } from "../problem.ts";
import { type HostServer, plainPath, readIngress, type Reading } from "../reading.ts";
import { plainRule } from "../rule.ts";
import { parseTemplate, type Template } from "../template.ts";
import { fieldsFilter, fieldsOfMap, literalField, type TemplateField, templateField } from "./fields.ts";
import { bound, type LocationVariables, locationVariablesOf, textOf } from "./location-variables.ts";
import { certificateFilter, mayGovern, validationOf } from "./client-certificates.ts";
import { type NginxOptions, type NginxSettings, readSettings } from "./settings.ts";
import { listOf, type ServiceUrl, ValueFault } from "./values.ts";

export interface NginxInput {
  readonly options: NginxOptions;
  /** Port for https as clients see it. Default: 443. */
  readonly httpsPort?: number;
  /** By `namespace/name`. */
  readonly service: (key: string) => Service | undefined;
  readonly secret: (key: string) => Secret | undefined;
  readonly configMap: (key: string) => ConfigMap | undefined;
  /** Default: all of it. */
  readonly abilities?: NginxAbilities;
  /** For who reads again and again: only what has to be otherwise is read anew. */
  readonly memory?: NginxMemory;
}

/** What a data plane can do for a host as a whole. */
export interface NginxAbilities {
  /** Asks clients for certificates on some names of a port. */
  readonly certificates: boolean;
  /** Passes TLS through on some names of a port. */
  readonly passthrough: boolean;
}

/** What was read before. Forgotten with its Ingresses, and when the options change. */
export interface NginxMemory {
  /** As JSON. */
  options: string;
  drafts: WeakMap<Ingress, Remembered<World, Draft>>;
  readings: WeakMap<Draft, Remembered<World, Reading>>;
}

export function createNginxMemory(): NginxMemory {
  return { options: "", drafts: new WeakMap(), readings: new WeakMap() };
}

/** An Ingress with its raw paths: what they mean depends on the other Ingresses of their hosts. */
interface Draft {
  readonly ingress: Ingress;
  readonly settings: NginxSettings;
  readonly reading: Reading;
  readonly problems: readonly Problem[];
  /** What it adds to paths of others, by `HOST PATH`. */
  readonly canaries: ReadonlyMap<string, DraftCanary>;
  /** `HOST PATH` of its rules. */
  readonly paths: ReadonlySet<string>;
}

/** A canary before the rule it belongs to is known; `stays`: where that has an affinity, it is the canary's too. */
interface DraftCanary {
  readonly canary: Canary;
  readonly stays: boolean;
}

/** What all Ingresses say of a host together. */
interface Host {
  /** All its paths are expressions: one `use-regex` is enough, or one `rewrite-target` that is not its path. */
  regex: boolean;
  /** Has a certificate, or asks for one. */
  secure: boolean;
  /** A rule names it. */
  named: boolean;
  /** The Ingress that says which certificates its clients must show. */
  guard?: Draft;
  /** Those that have paths of their own on it. */
  readonly drafts: Draft[];
  /** By `HOST PATH`; of several the oldest counts. */
  canaries?: Map<string, DraftCanary>;
  /** Further names of it, whoever's the path is. */
  aliases?: readonly string[];
  /** Filters of all its paths, whoever's they are. */
  snippet?: readonly Filter[];
}

/** What an Ingress may ask of everything else. */
interface World {
  service: Service | undefined;
  secret: Secret | undefined;
  configMap: ConfigMap | undefined;
  named: boolean;
  regex: boolean;
  secure: boolean;
  /** A rule has this `HOST PATH`. */
  path: boolean;
  canaries: ReadonlyMap<string, DraftCanary> | undefined;
  guard: Draft | undefined;
  /** Namespace of the oldest Ingress of a host. */
  owner: string | undefined;
  aliases: readonly string[] | undefined;
  snippet: readonly Filter[] | undefined;
}

type Ask = RecallAsk<World>;

/** Asks for each host once. */
function remembering<T>(ask: (host: string) => T): (host: string) => T {
  const known = new Map<string, T>();
  return (host) => {
    if (!known.has(host)) known.set(host, ask(host));
    return known.get(host) as T;
  };
}

const everything: NginxAbilities = { certificates: true, passthrough: true };

/**
 * What Ingresses mean to ingress-nginx, its surprising behaviours included: where one Ingress of a host has `use-regex` or
 * `rewrite-target`, all paths of that host are expressions, case-insensitive and bound at their begin only, the longest first; a prefix
 * with a slash at its end sends requests without it there; empty segments of a path do not count. `ingresses` is oldest first.
 */
export function readNginxIngresses(ingresses: readonly Ingress[], input: NginxInput): Map<Ingress, Reading> {
  const { options, httpsPort = 443, memory = createNginxMemory(), abilities = everything } = input;
  const said = JSON.stringify(options);
  if (memory.options !== said) {
    memory.options = said;
    memory.drafts = new WeakMap();
  }
  let hosts: ReadonlyMap<string, Host> = new Map();
  const answers: { [K in keyof World]: (key: string) => World[K] } = {
    service: input.service,
    secret: input.secret,
    configMap: input.configMap,
    named: (host) => hosts.get(host)?.named ?? false,
    regex: (host) => hosts.get(host)?.regex ?? false,
    secure: (host) => hosts.get(host)?.secure ?? false,
    path: (key) => hosts.get(key.slice(0, key.indexOf(" ")))?.drafts.some(({ paths }) => paths.has(key)) ?? false,
    canaries: (host) => hosts.get(host)?.canaries,
    guard: (host) => hosts.get(host)?.guard,
    owner: (host) => hosts.get(host)?.drafts[0]?.ingress.metadata.namespace,
    aliases: (host) => hosts.get(host)?.aliases,
    snippet: (host) => hosts.get(host)?.snippet,
  };
  const ask: Ask = (what, key) => answers[what](key);
  const drafts = ingresses.map((ingress) => {
    const known = memory.drafts.get(ingress);
    const draft = recall(known, ask, (asked) => draftOf(ingress, options, asked));
    if (draft !== known) memory.drafts.set(ingress, draft);
    return draft.value;
  });
  hosts = hostsOf(drafts);
  const readings = new Map<Ingress, Reading>();
  for (const draft of drafts) {
    const known = memory.readings.get(draft);
    const reading = recall(known, ask, (asked) => finish(draft, { options, httpsPort, abilities }, asked));
    if (reading !== known) memory.readings.set(draft, reading);
    readings.set(draft.ingress, reading.value);
  }
  return readings;
}

function draftOf(ingress: Ingress, options: NginxOptions, ask: Ask): Draft {
  const settings = readSettings(ingress, options);
  const problems = [...settings.problems];
  const tls = tlsOf(ingress, settings, ask, problems);
  const reading = readIngress(ingress, {
    pathOf: (path, type) =>
      path.startsWith("/")
        ? { type: type === "Exact" ? "Exact" : "Prefix", value: path }
        : { refused: "the path does not begin with a slash" },
    targetOf: (target) => reached(target, settings, tls),
  });
  const canaries = new Map<string, DraftCanary>();
  const paths = new Set<string>();
  for (const route of reading.routes) {
    const key = pathKey(route);
    const [backend] = route.rule.backends;
    if (!settings.canary) paths.add(key);
    else if (backend?.pool !== undefined)
      canaries.set(key, {
        canary: { ...settings.canary, pool: backend.pool, owner: route.owner },
        stays: settings.stickyCanary,
      });
  }
  return { ingress, settings, reading, problems: [...problems, ...reading.problems], canaries, paths };
}

function reached(asked: PoolTarget, { protocol, throughService }: NginxSettings, tls?: BackendTls): PoolTarget {
  const target: PoolTarget = throughService ? { ...asked, throughService, variant: "service" } : asked;
  if (protocol === "HTTP") return target;
  if (protocol === "GRPC") return { ...target, protocol: "h2c" };
  const serverName = tls?.serverName || `${target.service}.${target.namespace}.svc`;
  return {
    ...target,
    protocol: protocol === "GRPCS" ? "h2c" : "http",
    ...(tls ? { tls: { ...tls, serverName: tls.unverified && tls.serverName === "" ? "" : serverName } } : {}),
    variant: `tls ${JSON.stringify([tls?.serverName, tls?.unverified, tls?.client?.secret, tls?.client?.version, tls?.authorities, tls?.depth])}${throughService ? " service" : ""}`,
  };
}

function tlsOf(ingress: Ingress, settings: NginxSettings, ask: Ask, problems: Problem[]): BackendTls | undefined {
  if (settings.protocol !== "HTTPS" && settings.protocol !== "GRPCS") return undefined;
  const { name, verify, secret, depth } = settings.backendTls;
  const found = secret === undefined ? undefined : ownSecret(ingress, secret, "proxy-ssl-secret", ask, problems);
  const ca = Buffer.from(found?.data?.["ca.crt"] ?? "", "base64").toString("latin1");
  const object = refOf(ingress);
  const client =
    found?.data?.["tls.crt"] === undefined
      ? undefined
      : {
          hostname: "",
          secret: refOf(found),
          version: versionOf(found),
          owner: { object, field: "metadata.annotations[nginx.ingress.kubernetes.io/proxy-ssl-secret]" },
        };
  return {
    serverName: name,
    subjectAltNames: [],
    authorities: ca === "" ? "System" : ca,
    ...(verify ? (depth === undefined ? {} : { depth }) : { unverified: true }),
    ...(client ? { client } : {}),
  };
}

const versionOf = (secret: Secret): string => `${secret.metadata.uid ?? ""}/${secret.metadata.resourceVersion ?? ""}`;

/** A Secret of the Ingress's own namespace: whoever may write Ingresses in one namespace must not use what is in another. */
function ownSecret(
  ingress: Ingress,
  name: string,
  annotation: string,
  ask: Ask,
  problems: Problem[],
): Secret | undefined {
  const namespace = ingress.metadata.namespace ?? "";
  const [first = "", second] = name.split("/");
  const [where, what] = second === undefined ? [namespace, first] : [first, second];
  const found = where === namespace ? ask("secret", `${where}/${what}`) : undefined;
  if (!found)
    problems.push({
      object: refOf(ingress),
      field: `metadata.annotations[nginx.ingress.kubernetes.io/${annotation}]`,
      reason: "SecretNotFound",
      message:
        where === namespace
          ? `Secret ${where}/${what} does not exist; requests to this Ingress get 500`
          : `Secret ${where}/${what} is in another namespace; requests to this Ingress get 500`,
      remedy: `create Secret ${what} in namespace ${namespace}`,
    });
  return found;
}

function hostsOf(drafts: readonly Draft[]): ReadonlyMap<string, Host> {
  const hosts = new Map<string, Host>();
  const hostOf = (name: string): Host => {
    let host = hosts.get(name);
    if (!host) hosts.set(name, (host = { regex: false, secure: false, named: false, drafts: [] }));
    return host;
  };
  for (const draft of drafts) {
    const { ingress, settings, reading } = draft;
    for (const name of reading.hosts) {
      const host = hostOf(name);
      host.named = true;
      if (!settings.canary) {
        if (settings.useRegex || rewritesOn(draft, name)) host.regex = true;
        host.drafts.push(draft);
        // Nobody may lock the hosts of other namespaces, give their paths another name, or change their answers.
        if (mayGovern(ingress, host.drafts[0]?.ingress.metadata.namespace)) {
          if (settings.certificates) host.guard ??= draft;
          const isFirst = name === reading.hosts.find((each) => each !== "");
          if (isFirst && settings.aliases.length > 0) host.aliases ??= settings.aliases;
          if (settings.serverSnippet.length > 0) host.snippet ??= settings.serverSnippet;
        }
      } else
        for (const [key, canary] of draft.canaries) {
          if (!key.startsWith(`${name} `)) continue;
          host.canaries ??= new Map();
          if (!host.canaries.has(key)) host.canaries.set(key, canary);
        }
    }
    for (const { hosts: names } of ingress.spec.tls ?? [])
      for (const name of names ?? reading.hosts) hostOf(name).secure = true;
  }
  return hosts;
}

/** A path that is rewritten to itself is not. */
function rewritesOn({ settings: { rewriteTarget }, reading }: Draft, name: string): boolean {
  return (
    rewriteTarget !== undefined &&
    reading.routes.some(({ host, path }) => host === name && path?.value !== rewriteTarget)
  );
}

const pathKey = ({ host, path }: Route): string => `${host} ${path?.value ?? ""}`;

function finish(draft: Draft, general: Pick<RuleContext, "options" | "httpsPort" | "abilities">, ask: Ask): Reading {
  const { ingress, settings, reading } = draft;
  const { object } = reading;
  const backends = [...reading.backends];
  const problems = [...draft.problems];
  // A canary has no routes of its own.
  if (settings.canary) return { object, hosts: [], routes: [], backends, problems };
  const context: RuleContext = {
    ...general,
    draft,
    ask,
    problems,
    extra: new Map(),
    guard: settings.certificates && draft,
    ofHost: settings.serverSnippet,
  };
  const regex = remembering((host) => ask("regex", host));
  const canaries = remembering((host) => ask("canaries", host));
  const snippets = remembering((host) => ask("snippet", host) ?? settings.serverSnippet);
  const guards = remembering((host) => ask("guard", host) ?? context.guard);
  const routes: Route[] = [];
  const ownHost = reading.hosts.find((host) => host !== "");
  const aliasesOf = remembering((host) => {
    const all = new Set([...(ask("aliases", host) ?? []), ...(host === ownHost ? settings.aliases : [])]);
    return [...all].filter((alias) => !ask("named", alias));
  });
  const served = new Set(reading.hosts);
  for (const raw of reading.routes) {
    for (const host of [raw.host, ...aliasesOf(raw.host)]) {
      served.add(host);
      const route = { ...raw, host, id: host === raw.host ? raw.id : `${raw.id} as ${host}` };
      routes.push(
        ...routesFor(route, regex(raw.host), canaries(raw.host)?.get(pathKey(raw)), {
          ...context,
          guard: guards(raw.host),
          ofHost: snippets(raw.host),
        }),
      );
    }
  }
  if (settings.appRoot !== undefined && settings.closed === undefined) {
    for (const host of reading.hosts) {
      const first = routes.find((route) => route.host === host);
      if (!first || draft.paths.has(`${host} /`)) continue;
      const toRoot = appRootFilters(first, settings.appRoot, { ...context, guard: guards(host) });
      for (const name of [host, ...aliasesOf(host)]) routes.push(toAppRoot(name, draft, toRoot));
    }
  }
  if (settings.wwwRedirect) {
    for (const host of reading.hosts) {
      if (host === "" || host.startsWith("*.")) continue;
      const other = host.startsWith("www.") ? host.slice(4) : `www.${host}`;
      if (ask("named", other)) continue;
      served.add(other);
      routes.push(toHost(ingress, other, host, settings.redirectCode));
    }
  }
  const fallback = reading.fallback && {
    ...reading.fallback,
    rule: ruleOf(reading.fallback, undefined, context),
  };
  const servers = hostServersOf([...served], context);
  backends.push(...[...context.extra].map(([key, { target, field }]) => ({ key, target, field })));
  return {
    object,
    hosts: [...served],
    routes,
    ...(fallback ? { fallback } : {}),
    backends,
    problems,
    mergeSlashes: true,
    ownFallback: true,
    ...(servers.length > 0 ? { servers } : {}),
  };
}

function toHost(ingress: Ingress, from: string, to: string, status: number): Route {
  const owner = {
    object: refOf(ingress),
    field: "metadata.annotations[nginx.ingress.kubernetes.io/from-to-www-redirect]",
  };
  const id = `${owner.object.namespace ?? ""}/${owner.object.name} ${from} to ${to}`;
  const url: Template = [{ variable: "scheme" }, `://${to}`, { variable: "request_uri" }];
  return {
    id,
    host: from,
    path: { type: "Prefix", value: "" },
    headers: [],
    query: [],
    rule: { id, filters: [{ type: "UrlRedirect", url, status, cutSlash: true }], backends: [], timeouts: {}, owner },
    owner,
  };
}

/** `app-root` is of the host, whichever paths its Ingress has. */
function toAppRoot(host: string, draft: Draft, filters: readonly Filter[]): Route {
  const owner = { object: refOf(draft.ingress), field: annotationField("app-root") };
  const id = `${owner.object.namespace ?? ""}/${owner.object.name} ${host}/ to its app-root`;
  return {
    id,
    host,
    path: { type: "Exact", value: "/" },
    headers: [],
    query: [],
    rule: { id, filters, backends: [], timeouts: {}, owner },
    owner,
  };
}

/** Who must show a certificate on this host does that first. */
function appRootFilters(raw: Route, appRoot: string, context: RuleContext): Filter[] {
  const certificates = certificateFilters(raw, context);
  if (certificates === undefined) return [{ type: "Unsupported", what: "auth-tls-secret" }];
  const before = certificates.length > 0 ? [...sslRedirects(raw.host, context), ...certificates] : [];
  return [...before, appRootFilter(appRoot)];
}

function appRootFilter(appRoot: string): Filter {
  const url: Template = [{ variable: "scheme" }, "://", { variable: "http_host" }, appRoot];
  return { type: "UrlRedirect", url, status: 302, path: "/" };
}

/** The hosts of an Ingress whose TLS is its own. */
function hostServersOf(hosts: readonly string[], context: RuleContext): HostServer[] {
  const { draft, abilities, ask } = context;
  const { ingress, settings, reading } = draft;
  const object = refOf(ingress);
  const owner = { object, field: annotationField("auth-tls-secret") };
  if (settings.closed !== undefined) return [];
  if (settings.passthrough && abilities.passthrough)
    return reading.routes.flatMap((route): HostServer[] => {
      const { host, path } = route;
      const target = reading.backends.find(({ key }) => key === route.rule.backends[0]?.pool);
      const mine = mayGovern(ingress, ask("owner", host)) && host !== "" && path?.value === "/";
      if (!mine || !target || !("target" in target)) return [];
      const { namespace, service, port } = target.target;
      const through: PoolTarget = { namespace, service, port, protocol: "tcp" };
      context.extra.set(poolKey(through), { target: through, field: target.field });
      const id = `${route.id} passed through`;
      return [
        {
          hostname: host,
          tls: { id, host: "", rule: plainRule(id, poolKey(through), route.owner), owner: route.owner },
          owner: route.owner,
        },
      ];
    });
  if (!settings.certificates || !abilities.certificates) return [];
  const secret = ownSecret(ingress, settings.certificates.secret, "auth-tls-secret", ask, []);
  const clients = secret && validationOf(secret);
  if (!clients) return [];
  // An alias is nobody else's host.
  const named = hosts.filter((host) => !reading.hosts.includes(host) || ask("guard", host) === draft);
  return named.map((hostname) => ({ hostname, tls: clients, owner }));
}

const annotationField = (name: string): string => `metadata.annotations[nginx.ingress.kubernetes.io/${name}]`;

interface RuleContext {
  readonly draft: Draft;
  readonly options: NginxOptions;
  readonly httpsPort: number;
  readonly abilities: NginxAbilities;
  /** Who says which certificates clients must show. */
  readonly guard: Draft | undefined;
  /** Filters that all paths of the host have. */
  readonly ofHost: readonly Filter[];
  readonly ask: Ask;
  readonly problems: Problem[];
  /** Pools beside those of the paths. */
  readonly extra: Map<string, { target: PoolTarget; field: string }>;
}

function routesFor(raw: Route, regex: boolean, canary: DraftCanary | undefined, context: RuleContext): Route[] {
  const { ask, problems, draft } = context;
  const path = raw.path?.value ?? "/";
  const fault = (message: string): Route[] => {
    problems.push({
      object: raw.owner.object,
      field: `${raw.owner.field}.path`,
      reason: "InvalidPath",
      message,
      remedy: "use a path such as /shop, or an expression in the syntax of RE2",
    });
    return [];
  };
  const rule = ruleOf(raw, canary, context, regex);
  if (regex) {
    const wrong = expressionFault(path);
    if (wrong) return fault(`${wrong}; the path is left out`);
    return [{ ...raw, path: { type: "RegularExpression", value: `(?i)(?:${path}).*` }, rule }];
  }
  const match = plainPath(path, raw.path?.type ?? "Prefix");
  if ("refused" in match) return fault(match.refused);
  const routes: Route[] = [{ ...raw, path: match, rule }];
  const bare = path.replace(/\/+$/, "");
  if (match.type === "Prefix" && path !== bare && bare !== "" && !ask("path", `${raw.host} ${bare}`)) {
    const onHost: Template = [{ variable: "scheme" }, "://", { variable: "http_host" }];
    const rest: Template = [`${match.value}/`, { variable: "is_args" }, { variable: "args" }];
    const url: Template = draft.settings.relativeRedirects ? rest : [...onHost, ...rest];
    const id = `${raw.id} with a slash`;
    routes.push({
      ...raw,
      id,
      path: { type: "Exact", value: match.value },
      rule: { id, filters: [{ type: "UrlRedirect", url, status: 301 }], backends: [], timeouts: {}, owner: raw.owner },
    });
  }
  return routes;
}

function ruleOf(raw: Route, canary: DraftCanary | undefined, context: RuleContext, regex = false): Rule {
  const { settings } = context.draft;
  const { namespace = "", name } = context.draft.ingress.metadata;
  const variables = locationVariablesOf(namespace, name, raw.path?.value ?? "/", raw.rule.backends[0]?.pool);
  const filters = bound(filtersOf(raw, variables, context), variables);
  const fallback =
    settings.defaultBackend === undefined ? undefined : firstPort(settings.defaultBackend, "default-backend", context);
  const sticky = canary?.stays ? settings.affinity?.cookie : undefined;
  return {
    ...raw.rule,
    id: raw.id,
    filters,
    timeouts: { connect: settings.connect, read: settings.read },
    ...(settings.retry ? { retry: settings.retry } : {}),
    // An expression is no path of a cookie: it would never come back.
    ...(settings.affinity ? { affinity: { path: regex ? "/" : (raw.path?.value ?? "/"), ...settings.affinity } } : {}),
    ...(settings.hashBy ? { hashBy: bound(settings.hashBy, variables) } : {}),
    ...(settings.hashSubset === undefined ? {} : { hashSubset: settings.hashSubset }),
    ...(canary ? { canary: { ...canary.canary, ...(sticky === undefined ? {} : { sticky }) } } : {}),
    ...(fallback === undefined ? {} : { fallbackPool: fallback, fallbackFields: fallbackFieldsOf(variables) }),
    ...(settings.unlogged ? { unlogged: true as const } : {}),
    ...(settings.unsaid.length > 0 ? { unsaid: settings.unsaid } : {}),
    ...(settings.spanName ? { spanName: bound(settings.spanName, variables) } : {}),
  };
}

/** What a default backend is told of a request that it gets in the place of a Service without endpoints. */
function fallbackFieldsOf(variables: LocationVariables): TemplateHeaders {
  return {
    type: "TemplateHeaders",
    of: "request",
    how: "set",
    fields: [
      { name: "x-code", value: ["503"] },
      { name: "x-format", value: [{ variable: "http_accept" }] },
      { name: "x-namespace", value: [variables.namespace] },
      { name: "x-ingress-name", value: [variables.ingress_name] },
      { name: "x-service-name", value: [variables.service_name] },
      { name: "x-service-port", value: [variables.service_port] },
    ],
  };
}

/** In the order of nginx's phases: redirects, limits, who may, and what is changed on the way to the backend. */
function filtersOf(raw: Route, variables: LocationVariables, context: RuleContext): Filter[] {
  const { draft, options, ask, problems } = context;
  const { ingress, settings } = draft;
  const filters: Filter[] = [];
  const id = raw.id;
  const counted = `${ingress.metadata.namespace ?? ""}/${ingress.metadata.name}`;
  if (settings.closed !== undefined) return [{ type: "Unsupported", what: settings.closed }];
  const closed = (what: string): Filter[] => [{ type: "Unsupported", what }];

  if (!settings.tracing.on || !settings.tracing.trust) filters.push({ type: "Tracing", ...settings.tracing });
  if (settings.strictTransport !== undefined)
    filters.push({ type: "StrictTransport", value: settings.strictTransport });
  if (settings.hidden.length > 0)
    filters.push({ type: "ResponseHeaders", changes: { set: [], add: [], remove: settings.hidden } });
  const added = generalFields(options["add-headers"], literalField, ask);
  if (added.length > 0) filters.push(fieldsFilter("answer", "set", added));
  filters.push(...context.ofHost);
  const certificates = certificateFilters(raw, context);
  if (certificates === undefined) return closed("auth-tls-secret");
  const toTls = sslRedirects(raw.host, context);
  // nginx answers with redirects that are written down before Lua sends a client to https. Who must show a certificate does that first.
  const certified = certificates.length > 0;
  if (certified) filters.push(...toTls, ...certificates);
  if (settings.appRoot !== undefined) filters.push(appRootFilter(settings.appRoot));
  if (settings.cors) filters.push({ type: "Cors", cors: settings.cors });
  filters.push(...settings.snippet);
  if (settings.redirect) {
    const { url, status } = settings.redirect;
    filters.push({ type: "UrlRedirect", url: located(url, settings), status });
  }
  if (!certified) filters.push(...toTls);
  if (settings.customHeaders !== undefined) {
    const fields = mapFields(settings.customHeaders, "custom-headers", literalField, context, allowedNames(options));
    if (!fields) return closed("custom-headers");
    if (fields.length > 0) filters.push(fieldsFilter("answer", "set", fields));
  }
  filters.push(...settings.answerRewrites);
  if (settings.bodyBytes > 0) filters.push({ type: "BodyLimit", bytes: settings.bodyBytes });
  if (settings.answerRate) filters.push({ type: "AnswerRate", ...settings.answerRate });
  if (settings.closes) filters.push({ type: "CloseConnection" });
  for (const { requests, seconds } of settings.limits)
    filters.push({
      type: "RateLimit",
      // One count for all paths of an Ingress.
      id: `${counted} ${seconds}`,
      requests,
      seconds,
      burst: requests * settings.burst,
      exempt: settings.exempt,
      status: statusOption(options["limit-req-status-code"]),
    });
  if (settings.connections !== undefined)
    filters.push({
      type: "ConnectionLimit",
      id: counted,
      connections: settings.connections,
      exempt: settings.exempt,
      status: statusOption(options["limit-conn-status-code"]),
    });
  if (settings.allow.length + settings.deny.length > 0)
    filters.push({ type: "SourceRanges", allow: settings.allow, deny: settings.deny, satisfyAny: settings.satisfyAny });
  if (settings.passwords) {
    const { scheme, realm, layout } = settings.passwords;
    const secret = ownSecret(ingress, settings.passwords.secret, "auth-secret", ask, problems);
    if (!secret) return closed("auth-secret");
    const users = { secret: refOf(secret), version: versionOf(secret), layout };
    filters.push({ type: scheme, realm, users });
  }
  if (settings.external) {
    const { url, method, signin, signinParameter, responseHeaders, redirect, alwaysCookies, headers, remembered } =
      settings.external;
    const named = headers === undefined ? [] : mapFields(headers, "auth-proxy-set-headers", templateField, context);
    if (!named) return closed("auth-proxy-set-headers");
    const asked = [...named, ...settings.external.fields];
    const path = parseTemplate(url.rest);
    if ("fault" in path) return closed("auth-url");
    const own = !("service" in url);
    // Another host is asked only where it is one of ours: who writes Ingresses must not make us connect to anyone.
    if (own && !url.host.startsWith("$") && !ask("named", url.host)) {
      problems.push({
        object: refOf(ingress),
        field: "metadata.annotations[nginx.ingress.kubernetes.io/auth-url]",
        reason: "InvalidAnnotation",
        message: `${url.host} is neither a Service nor a host of an Ingress here; requests to this Ingress get 500`,
        remedy: "name a Service: http://NAME.NAMESPACE.svc.cluster.local:PORT/path",
      });
      return closed("auth-url");
    }
    filters.push({
      type: "ExternalAuth",
      ...(own ? {} : { pool: extraPool(url, "auth-url", context) }),
      host: url.host.startsWith("$") ? "" : url.host,
      path,
      ...(method === undefined ? {} : { method }),
      ...(signin ? { signin } : {}),
      signinParameter,
      responseHeaders,
      ...(redirect ? { redirect } : {}),
      ...(alwaysCookies ? { alwaysCookies } : {}),
      ...(asked.length > 0 ? { headers: asked } : {}),
      // Who is asked is part of whose answer it is.
      ...(remembered
        ? { remembered: { ...remembered, scope: JSON.stringify([id, url, method, headers, responseHeaders]) } }
        : {}),
    });
  }
  // A password is the proxy's business, and none of the backend's.
  if (settings.passwords) filters.push(fieldsFilter("request", "set", [{ name: "authorization", value: [] }]));
  const sent = generalFields(options["proxy-set-headers"], templateField, ask);
  if (sent.length > 0) filters.push(fieldsFilter("request", "set", sent));
  const vhost = settings.vhost && textOf(bound(settings.vhost, variables));
  if (vhost !== undefined) filters.push({ type: "Rewrite", hostname: vhost });
  const path = raw.path?.value ?? "/";
  if (settings.rewriteTarget !== undefined && settings.rewriteTarget !== path) {
    if (settings.forwardedPrefix !== undefined)
      filters.push({
        type: "RequestHeaders",
        changes: { set: [{ name: "X-Forwarded-Prefix", value: settings.forwardedPrefix }], add: [], remove: [] },
      });
    filters.push({ type: "RegexRewrite", pattern: `(?i)${path}`, replacement: settings.rewriteTarget });
  }
  if (settings.mirror) {
    const { url, host, withBody } = settings.mirror;
    const pool = extraPool(url, "mirror-target", context);
    const body = withBody ? {} : { withoutBody: true as const };
    filters.push({ type: "Mirror", pool, numerator: 1, denominator: 1, host, ...body });
  }
  if (settings.errorCodes.length > 0) {
    const pool = firstPort(settings.defaultBackend, "custom-http-errors", context);
    const { namespace, ingress_name: name, service_name: service, service_port: port } = variables;
    if (pool !== undefined)
      filters.push({
        type: "ErrorPages",
        codes: settings.errorCodes,
        pool,
        about: { "x-namespace": namespace, "x-ingress-name": name, "x-service-name": service, "x-service-port": port },
      });
  }
  return filters;
}

function sslRedirects(host: string, { draft: { settings }, ask, httpsPort }: RuleContext): Filter[] {
  const { forceSslRedirect, sslRedirect, redirectCode, portInRedirects, keepsSlash } = settings;
  if (!forceSslRedirect && !(sslRedirect && ask("secure", host))) return [];
  return [
    {
      type: "SslRedirect",
      status: redirectCode,
      ...(portInRedirects ? { port: httpsPort } : {}),
      ...(keepsSlash ? {} : { cutSlash: true as const }),
    },
  ];
}

/** The target of a redirect: a path alone stays one only where that is asked for. */
function located(url: Template, { relativeRedirects, portInRedirects }: NginxSettings): Template {
  const [first = ""] = url;
  const local = typeof first === "string" && first.startsWith("/");
  return local && !relativeRedirects
    ? [{ variable: "scheme" }, "://", { variable: portInRedirects ? "http_host" : "host" }, ...url]
    : url;
}

/** The fields of a ConfigMap of the Ingress's own namespace; `undefined`, with a problem, where they cannot be had. */
function mapFields(
  name: string,
  annotation: string,
  read: (name: string, value: string) => TemplateField,
  { draft: { ingress }, ask, problems }: RuleContext,
  allowed?: ReadonlySet<string>,
): readonly TemplateField[] | undefined {
  const namespace = ingress.metadata.namespace ?? "";
  const key = name.includes("/") ? name : `${namespace}/${name}`;
  const report = (message: string, remedy: string): undefined => {
    const field = annotationField(annotation);
    const said = `${message}; requests to this Ingress get 500`;
    // Once for all its paths.
    if (!problems.some((problem) => problem.field === field && problem.message === said))
      problems.push({ object: refOf(ingress), field, reason: "InvalidAnnotation", message: said, remedy });
  };
  if (!key.startsWith(`${namespace}/`))
    return report(`ConfigMap ${key} is in another namespace`, `put it into namespace ${namespace}`);
  const map = ask("configMap", key);
  if (!map)
    return report(`ConfigMap ${key} does not exist`, "create it: its data are names and values of header fields");
  try {
    const fields = fieldsOfMap(map, read);
    const other = allowed && fields.find((each) => !allowed.has(each.name.toLowerCase()));
    if (!other) return fields;
    return report(
      `${other.name} is not among global-allowed-response-headers`,
      "add it to that key of the ConfigMap that --ingress-nginx-config-map names",
    );
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    return report(`ConfigMap ${key}: ${error.message}`, "correct it");
  }
}

/** Names that `custom-headers` may set, in lower case: none unless the ConfigMap says so. */
function allowedNames(options: NginxOptions): ReadonlySet<string> {
  return new Set(listOf(options["global-allowed-response-headers"] ?? "").map((name) => name.toLowerCase()));
}

/** The fields of a ConfigMap that an option names, for all Ingresses. What cannot be read is left out, as nothing of an Ingress depends on it. */
function generalFields(
  key: string | undefined,
  read: (name: string, value: string) => TemplateField,
  ask: Ask,
): readonly TemplateField[] {
  const map = key === undefined || key === "" ? undefined : ask("configMap", key);
  return Object.entries(map?.data ?? {}).flatMap(([name, value]) => {
    try {
      return [read(name, value)];
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      return [];
    }
  });
}

/** What holds requests to the certificates of their host; `undefined` when it cannot, and nobody may come in. */
function certificateFilters(
  { host, path, owner }: Route,
  { draft, guard, ask, problems, abilities }: RuleContext,
): Filter[] | undefined {
  const { ingress, settings, paths, reading } = draft;
  const report = (name: string, message: string, remedy: string): undefined => {
    const field = annotationField(name);
    // Once for all its paths.
    if (!problems.some((problem) => problem.field === field && problem.message === message))
      problems.push({ object: owner.object, field, reason: "InvalidAnnotation", message, remedy });
  };
  const governs = host === "" || mayGovern(ingress, ask("owner", host) ?? ingress.metadata.namespace);
  if (settings.passthrough && (host === "" || !governs)) {
    const message = host === "" ? "a host is needed" : `host ${host} belongs to another namespace`;
    return report("ssl-passthrough", `${message}; requests to this Ingress get 500`, "name a host of your own");
  }
  if (settings.passthrough && !abilities.passthrough)
    return report(
      "ssl-passthrough",
      "this data plane cannot pass TLS through beside other names; requests to this Ingress get 500",
      "use a data plane that can, such as embedded",
    );
  if (settings.passthrough && reading.hosts.includes(host) && !paths.has(`${host} /`))
    return report(
      "ssl-passthrough",
      `host ${host} has no path /, whose backend would get its connections; requests to this Ingress get 500`,
      "add the path /",
    );
  if (settings.certificates && !governs)
    return report(
      "auth-tls-secret",
      `host ${host} belongs to another namespace; requests to this Ingress get 500`,
      "leave it to the Ingress that had the host first",
    );
  // Authorities that prove a host show no certificate.
  if (!guard?.settings.certificates || path?.value.startsWith("/.well-known/acme-challenge/")) return [];
  const secret = ownSecret(
    guard.ingress,
    guard.settings.certificates.secret,
    "auth-tls-secret",
    ask,
    guard === draft ? problems : [],
  );
  if (!secret) return undefined;
  if (!validationOf(secret))
    return report("auth-tls-secret", "its Secret has no data ca.crt; requests to this Ingress get 500", "add ca.crt");
  return [certificateFilter(guard.settings.certificates)];
}

function statusOption(text: string | undefined): number {
  const code = Number(text ?? 503);
  return Number.isInteger(code) && code >= 400 && code <= 599 ? code : 503;
}

function extraPool(url: ServiceUrl, field: string, { extra }: RuleContext): string {
  const target: PoolTarget = {
    namespace: url.namespace,
    service: url.service,
    port: { number: url.port },
    ...(url.secure
      ? {
          protocol: "http",
          tls: { serverName: url.host, subjectAltNames: [], authorities: "System", unverified: true },
          variant: "auth",
        }
      : {}),
  };
  const key = poolKey(target);
  extra.set(key, { target, field: `metadata.annotations[nginx.ingress.kubernetes.io/${field}]` });
  return key;
}

/** The pool of a Service's first port; without a name, that of the ConfigMap's default backend. */
function firstPort(name: string | undefined, field: string, context: RuleContext): string | undefined {
  const { draft, ask, extra } = context;
  const namespace = draft.ingress.metadata.namespace ?? "";
  if (name === undefined) return undefined;
  const [port] = ask("service", `${namespace}/${name}`)?.spec.ports ?? [];
  const target: PoolTarget = { namespace, service: name, port: { number: port?.port ?? 80 } };
  const key = poolKey(target);
  extra.set(key, { target, field: `metadata.annotations[nginx.ingress.kubernetes.io/${field}]` });
  return key;
}
