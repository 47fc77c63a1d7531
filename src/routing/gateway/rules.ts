import { expressionFault } from "../expression.ts";
import type { Filter, HeaderChanges, PathChange } from "../filters.ts";
import { refOf, textOf } from "../owner.ts";
import type { Backend, FieldMatch, Owner, PathMatch, Retry, Route, Rule, StreamRoute, Timeouts } from "../model.ts";
import { canonicalPathOfObject } from "../path.ts";
import type { Backends, BackendUser } from "./backends.ts";
import type { RefFault } from "./conditions.ts";
import type {
  AnyRoute,
  GrpcMatchSpec,
  HeaderFilterSpec,
  HttpMatchSpec,
  MatchSpec,
  RouteBackendSpec,
  RouteFilterSpec,
  RouteKindName,
  RouteRuleSpec,
} from "./types.ts";

/** A match of a rule, before it is known by which host names it is reached. */
export interface MatchReading {
  readonly path: PathMatch;
  readonly method?: string;
  readonly headers: readonly FieldMatch[];
  readonly query: readonly FieldMatch[];
  readonly field: string;
}

/** What the rules of a route say by themselves. */
export interface RuleReading {
  readonly field: string;
  readonly matches: readonly MatchReading[];
  /** Why some of it cannot be done; the rest of the rule is served. */
  readonly faults: readonly RefFault[];
}

/** Reads the matches of a route's rules; nothing but the object is looked at. */
export function readMatches(kind: RouteKindName, route: AnyRoute): RuleReading[] {
  return (route.spec.rules ?? []).map((rule, index) => {
    const field = `spec.rules[${index}]`;
    const faults: RefFault[] = [];
    const given = rule.matches ?? [];
    const specs = given.length === 0 ? [{}] : given;
    const matches = specs.flatMap((spec, i) => {
      const where = `${field}.matches[${i}]`;
      const read = kind === "GRPCRoute" ? grpcMatch(spec as GrpcMatchSpec) : httpMatch(spec as HttpMatchSpec);
      if (typeof read !== "string") return [{ ...read, field: where }];
      faults.push({ reason: "UnsupportedValue", message: `${where}: ${read}` });
      return [];
    });
    return { field, matches, faults };
  });
}

type Bare = Omit<MatchReading, "field">;

function httpMatch({ path, headers = [], queryParams = [], method }: HttpMatchSpec): Bare | string {
  const value = path?.value ?? "/";
  const type = path?.type ?? "PathPrefix";
  const fields = [...fieldsOf(headers, true), ...fieldsOf(queryParams, false)];
  const wrong = fields.map(faultOf).find((fault) => fault !== undefined);
  if (wrong) return wrong;
  const rest = {
    headers: fieldsOf(headers, true),
    query: fieldsOf(queryParams, false),
    ...(method === undefined ? {} : { method }),
  };
  if (type === "RegularExpression")
    return expressionFault(value) ?? { path: { type: "RegularExpression", value }, ...rest };
  const canonical = canonicalPathOfObject(value);
  if (typeof canonical !== "string") return canonical.refused;
  return type === "Exact"
    ? { path: { type: "Exact", value: canonical }, ...rest }
    : { path: { type: "Prefix", value: canonical.replace(/\/+$/, "") }, ...rest };
}

/** A method of gRPC is a path: `/package.Service/Method`. */
function grpcMatch({ method, headers = [] }: GrpcMatchSpec): Bare | string {
  const fields = fieldsOf(headers, true);
  const wrong = fields.map(faultOf).find((fault) => fault !== undefined);
  if (wrong) return wrong;
  const { service = "", method: name = "", type = "Exact" } = method ?? {};
  const made = (path: PathMatch): Bare => ({ path, method: "POST", headers: fields, query: [] });
  if (type === "RegularExpression") {
    const value = `/${service === "" ? "[^/]+" : `(?:${service})`}/${name === "" ? "[^/]+" : `(?:${name})`}`;
    return expressionFault(service) ?? expressionFault(name) ?? made({ type: "RegularExpression", value });
  }
  if (service !== "" && name !== "") return made({ type: "Exact", value: `/${service}/${name}` });
  if (service !== "") return made({ type: "Prefix", value: `/${service}` });
  if (name !== "") return made({ type: "RegularExpression", value: `/[^/]+/${name}` });
  return made({ type: "Prefix", value: "" });
}

function fieldsOf(specs: readonly MatchSpec[], lower: boolean): FieldMatch[] {
  const seen = new Set<string>();
  return specs.flatMap(({ type, name, value }) => {
    const key = lower ? name.toLowerCase() : name;
    // Of several with one name only the first counts (HTTPRouteMatch `headers`).
    if (seen.has(key)) return [];
    seen.add(key);
    return [
      { type: type === "RegularExpression" ? ("RegularExpression" as const) : ("Exact" as const), name: key, value },
    ];
  });
}

const faultOf = ({ type, value }: FieldMatch): string | undefined =>
  type === "RegularExpression" ? expressionFault(value) : undefined;

/** What the rules of a route do, for requests that come by one Gateway. */
export interface RulesResolved {
  readonly rules: readonly Rule[];
  /** References that lead nowhere. */
  readonly faults: readonly RefFault[];
  /** What the data plane or we cannot do. */
  readonly unsupported: readonly RefFault[];
}

/** Resolves the references of a route's rules. */
export function resolveRules(route: AnyRoute, user: BackendUser, backends: Backends): RulesResolved {
  const object = refOf(route);
  const faults: RefFault[] = [];
  const unsupported: RefFault[] = [];
  const rules = (route.spec.rules ?? []).map((spec, index): Rule => {
    const field = `spec.rules[${index}]`;
    const owner: Owner = { object, field };
    const filters = filtersOf(spec.filters ?? [], `${field}.filters`);
    const refs = (spec.backendRefs ?? []).map((ref, i) => backendOf(ref, `${field}.backendRefs[${i}]`));
    const retry = retryOf(spec);
    return {
      id: `${textOf(object)} rules[${index}]`,
      ...(spec.name === undefined ? {} : { name: spec.name }),
      filters,
      backends: refs,
      timeouts: timeoutsOf(spec),
      ...(retry ? { retry } : {}),
      owner,
    };
  });
  return { rules, faults, unsupported };

  function backendOf(ref: RouteBackendSpec, field: string): Backend {
    const found = backends.resolve(ref, user, field);
    const owner: Owner = { object, field };
    const weight = ref.weight ?? 1;
    const filters = filtersOf(ref.filters ?? [], `${field}.filters`);
    if ("pool" in found) return { pool: found.pool, weight, filters, owner };
    faults.push(found.fault);
    return { weight, filters, owner };
  }

  function filtersOf(specs: readonly RouteFilterSpec[], field: string): Filter[] {
    return specs.flatMap((spec, i) => {
      const filter = filterOf(spec, `${field}[${i}]`);
      return filter ? [filter] : [];
    });
  }

  function filterOf(spec: RouteFilterSpec, field: string): Filter | undefined {
    const { requestHeaderModifier, responseHeaderModifier, requestRedirect, urlRewrite, requestMirror, cors } = spec;
    if (requestHeaderModifier) return { type: "RequestHeaders", changes: changesOf(requestHeaderModifier) };
    if (responseHeaderModifier) return { type: "ResponseHeaders", changes: changesOf(responseHeaderModifier) };
    if (requestRedirect) {
      const { scheme, hostname, path, port, statusCode = 302 } = requestRedirect;
      const change = pathChangeOf(path);
      return {
        type: "Redirect",
        redirect: {
          ...(scheme ? { scheme } : {}),
          ...(hostname ? { hostname } : {}),
          ...(change ? { path: change } : {}),
          ...(port === undefined ? {} : { port }),
          status: statusCode as 302,
        },
      };
    }
    if (urlRewrite) {
      const change = pathChangeOf(urlRewrite.path);
      return {
        type: "Rewrite",
        ...(urlRewrite.hostname ? { hostname: urlRewrite.hostname } : {}),
        ...(change ? { path: change } : {}),
      };
    }
    if (requestMirror) {
      const found = backends.resolve(requestMirror.backendRef, user, `${field}.requestMirror.backendRef`);
      if ("fault" in found) {
        // Nothing is sent to what is not allowed; the request itself goes its way.
        faults.push(found.fault);
        return undefined;
      }
      const { percent, fraction } = requestMirror;
      const share = fraction ?? { numerator: percent ?? 100, denominator: 100 };
      return { type: "Mirror", pool: found.pool, numerator: share.numerator, denominator: share.denominator ?? 100 };
    }
    if (cors) {
      return {
        type: "Cors",
        cors: {
          allowOrigins: cors.allowOrigins ?? [],
          allowMethods: cors.allowMethods ?? ["GET", "HEAD", "POST"],
          allowHeaders: cors.allowHeaders ?? [],
          exposeHeaders: cors.exposeHeaders ?? [],
          allowCredentials: cors.allowCredentials ?? false,
          maxAge: cors.maxAge ?? 5,
        },
      };
    }
    unsupported.push({
      reason: "UnsupportedValue",
      message: `${field}: filters of type ${spec.type} are not supported`,
    });
    return { type: "Unsupported", what: spec.type };
  }
}

function changesOf({ set = [], add = [], remove = [] }: HeaderFilterSpec): HeaderChanges {
  return { set, add, remove };
}

function pathChangeOf(
  path: { type: string; replaceFullPath?: string; replacePrefixMatch?: string } | undefined,
): PathChange | undefined {
  if (!path) return undefined;
  return path.type === "ReplaceFullPath"
    ? { type: "ReplaceFullPath", value: path.replaceFullPath ?? "/" }
    : { type: "ReplacePrefixMatch", value: path.replacePrefixMatch ?? "" };
}

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of a duration (GEP-2257): `1h30m`, `500ms`. */
export function durationOf(text: string): number {
  let total = 0;
  for (const [, number = "0", unit = "s"] of text.matchAll(/(\d+)(h|ms|m|s)/g))
    total += Number(number) * (units[unit] ?? 0);
  return total;
}

function timeoutsOf({ timeouts }: RouteRuleSpec<unknown>): Timeouts {
  return {
    ...(timeouts?.request === undefined ? {} : { request: durationOf(timeouts.request) }),
    ...(timeouts?.backendRequest === undefined ? {} : { backendRequest: durationOf(timeouts.backendRequest) }),
  };
}

function retryOf({ retry }: RouteRuleSpec<unknown>): Retry | undefined {
  if (!retry) return undefined;
  return {
    codes: retry.codes ?? [],
    attempts: retry.attempts ?? 1,
    backoff: retry.backoff === undefined ? 0 : durationOf(retry.backoff),
  };
}

/** The routes that a route object is on a listener, by host names. */
export function routesFor(
  route: AnyRoute,
  hostnames: readonly string[],
  readings: readonly RuleReading[],
  rules: readonly Rule[],
): Route[] {
  const object = refOf(route);
  const text = textOf(object);
  return hostnames.flatMap((host) =>
    readings.flatMap(({ matches }, index) => {
      const rule = rules[index];
      if (!rule) return [];
      return matches.map(({ field, ...match }): Route => ({
        id: `${text} ${host || "*"} ${field.slice("spec.".length)}`,
        host,
        ...match,
        rule,
        owner: { object, field },
      }));
    }),
  );
}

/** The same for what is no HTTP: one rule, by server names. */
export function streamsFor(route: AnyRoute, hostnames: readonly string[], rules: readonly Rule[]): StreamRoute[] {
  const [rule] = rules;
  if (!rule) return [];
  const object = refOf(route);
  return hostnames.map((host) => ({ id: `${textOf(object)} ${host || "*"}`, host, rule, owner: rule.owner }));
}
