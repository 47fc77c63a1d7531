import type { Ingress } from "../../kube/index.ts";
import { canonicalPathOfObject } from "../path.ts";
import { annotationPrefix, dispositionOf, type NginxOptions, optionOf, readSettings } from "../ingress-nginx/index.ts";
import { oldestFirst, refOf, textOf } from "../owner.ts";
import { matchesFromBegin, sampleOf } from "./sample.ts";
import type { Problem } from "../problem.ts";

/**
 * `same`: it means the same here. `unneeded`: it is left out, and nobody outside sees a difference. `differs`: it is left out, and clients
 * or backends may see it. `refused`: its Ingress answers 500 until it is removed. `unreadable`: its value cannot be used.
 */
export type Verdict = "same" | "unneeded" | "differs" | "refused" | "unreadable";

export interface SettingVerdict {
  /** Annotation without its prefix, or key of the ConfigMap. */
  readonly name: string;
  readonly value: string;
  readonly verdict: Verdict;
  readonly why?: string;
  readonly remedy?: string;
}

export interface IngressVerdict {
  /** `Ingress shop/web`. */
  readonly object: string;
  /** The worst of its annotations and problems. */
  readonly verdict: Verdict;
  readonly annotations: readonly SettingVerdict[];
  readonly problems: readonly { readonly field: string; readonly message: string; readonly remedy: string }[];
}

/** One of ingress-nginx's five surprising behaviours, and what depends on it. All of them are kept for a class of ingress-nginx. */
export interface Surprise {
  readonly number: 1 | 2 | 3 | 4 | 5;
  readonly title: string;
  readonly affects: readonly {
    readonly object: string;
    readonly field: string;
    readonly host: string;
    readonly path: string;
    /** What happens, and would not by the Ingress specification. */
    readonly effect: string;
    /** A request that shows it. */
    readonly example: string;
  }[];
}

export interface Assessment {
  readonly ingresses: readonly IngressVerdict[];
  readonly options: readonly SettingVerdict[];
  readonly surprises: readonly Surprise[];
}

export interface AssessmentInput {
  /** Those of ingress-nginx's classes. */
  readonly ingresses: readonly Ingress[];
  /** Data of ingress-nginx's ConfigMap. */
  readonly options: NginxOptions;
  /** What the translation found. */
  readonly problems: readonly Problem[];
}

const order: readonly Verdict[] = ["same", "unneeded", "differs", "unreadable", "refused"];

/** What Ingresses that were written for ingress-nginx will do here: by object and annotation, with what is surprising about them. */
export function assessIngresses({ ingresses, options, problems }: AssessmentInput): Assessment {
  const ordered = oldestFirst(ingresses);
  const byObject = new Map<string, Problem[]>();
  for (const problem of problems) {
    const key = textOf(problem.object);
    byObject.set(key, [...(byObject.get(key) ?? []), problem]);
  }
  return {
    ingresses: ordered.map((ingress) => verdictOf(ingress, byObject.get(textOf(refOf(ingress))) ?? [])),
    options: Object.entries(options).map(([name, value]) => ({ name, value, ...optionVerdict(name, value) })),
    surprises: surprisesOf(ordered, options),
  };
}

function optionVerdict(name: string, value: string): { verdict: Verdict; why?: string } {
  const disposition = optionOf(name, value);
  if (disposition.kind === "served") return { verdict: "same" };
  if (disposition.kind === "refused") return { verdict: "refused", why: disposition.why };
  return { verdict: disposition.seen ? "differs" : "unneeded", why: disposition.why };
}

const fieldOf = (name: string): string => `metadata.annotations[${annotationPrefix}${name}]`;

function verdictOf(ingress: Ingress, problems: readonly Problem[]): IngressVerdict {
  const annotations: SettingVerdict[] = [];
  for (const [whole, value] of Object.entries(ingress.metadata.annotations ?? {})) {
    const disposition = dispositionOf(whole, value);
    if (!disposition) continue;
    const name = whole.slice(annotationPrefix.length);
    const problem = problems.find(({ field }) => field === fieldOf(name));
    if (disposition.kind === "refused") annotations.push({ name, value, verdict: "refused", why: disposition.why });
    else if (problem)
      annotations.push({ name, value, verdict: "unreadable", why: problem.message, remedy: problem.remedy });
    else if (disposition.kind === "served") annotations.push({ name, value, verdict: "same" });
    else {
      const verdict = disposition.seen ? "differs" : "unneeded";
      annotations.push({ name, value, verdict, why: disposition.why });
    }
  }
  const told = new Set(annotations.map(({ name }) => fieldOf(name)));
  const rest = problems.filter(({ field }) => !told.has(field));
  const verdicts = [...annotations.map(({ verdict }) => verdict), ...(rest.length > 0 ? (["differs"] as const) : [])];
  return {
    object: textOf(refOf(ingress)),
    verdict: order[Math.max(0, ...verdicts.map((verdict) => order.indexOf(verdict)))] ?? "same",
    annotations,
    problems: rest.map(({ field, message, remedy }) => ({ field, message, remedy })),
  };
}

interface Place {
  readonly ingress: Ingress;
  readonly field: string;
  readonly host: string;
  readonly path: string;
  readonly type: string;
  readonly useRegex: boolean;
  readonly rewrites: boolean;
}

const titles = {
  1: "expressions match without regard to case, and from the begin of a path only",
  2: "use-regex on one Ingress makes expressions of all paths of its hosts",
  3: "rewrite-target does the same",
  4: "a path with a slash at its end sends requests without it there",
  5: "the path is normalised before it is matched: an access log shows which requests depend on it",
} as const;

function surprisesOf(ingresses: readonly Ingress[], options: NginxOptions): Surprise[] {
  const places = ingresses.flatMap((ingress) => placesOf(ingress, options));
  const affected: Record<Surprise["number"], Surprise["affects"][number][]> = { 1: [], 2: [], 3: [], 4: [], 5: [] };
  const add = (number: Surprise["number"], { ingress, field, host, path }: Place, effect: string, asked: string) =>
    affected[number].push({
      object: textOf(refOf(ingress)),
      field: `${field}.path`,
      host,
      path,
      effect,
      example: `GET http://${(host || "any.host").replace(/^\*/, "any")}${asked}`,
    });
  const byRegex = firstBy(places, ({ useRegex }) => useRegex);
  const byRewrite = firstBy(places, ({ rewrites }) => rewrites);
  const bare = new Set(places.map(({ host, path }) => `${host} ${path}`));
  for (const place of places) {
    const { host, path, type } = place;
    const [regex, rewrite] = [byRegex.get(host), byRewrite.get(host)];
    const plain = /^[\w/.~-]*$/.test(path);
    if (regex || rewrite) {
      const sample = sampleOf(path);
      if (path !== "/" && sample !== undefined) {
        const more = otherSpellings(sample).filter((each) => matchesFromBegin(path, each));
        const [shown] = more;
        if (shown !== undefined)
          add(1, place, `${plain ? path : `the expression ${path}`} also matches ${more.join(" and ")}`, shown);
      }
      for (const [number, cause, what] of [
        [2, regex, "use-regex"],
        [3, rewrite, "rewrite-target"],
      ] as const) {
        // An expression that its own Ingress asks for surprises nobody.
        const own = place.useRegex || (place.rewrites && !plain);
        if (!cause || own || (number === 3 && regex && !place.rewrites) || path === "/") continue;
        const of = textOf(refOf(cause.ingress));
        add(
          number,
          place,
          `${type} ${path} becomes an expression because of ${what} of ${of}`,
          `${sample ?? literalOf(path)}-more`,
        );
      }
    } else if (type !== "Exact" && path.endsWith("/") && path !== "/" && !bare.has(`${host} ${path.slice(0, -1)}`)) {
      const without = path.replace(/\/+$/, "");
      add(4, place, `${without} is answered 301 to ${without}/; by the specification it is served`, without);
    }
    const canonical = canonicalPathOfObject(path);
    if (!regex && !rewrite && typeof canonical === "string" && (canonical !== path || path.includes("//")))
      add(5, place, `${path} is matched as ${canonical.replaceAll(/\/{2,}/g, "/")}`, path);
  }
  return ([1, 2, 3, 4, 5] as const).map((number) => ({ number, title: titles[number], affects: affected[number] }));
}

function firstBy(places: readonly Place[], is: (place: Place) => boolean): Map<string, Place> {
  const first = new Map<string, Place>();
  for (const place of places) if (is(place) && !first.has(place.host)) first.set(place.host, place);
  return first;
}

function placesOf(ingress: Ingress, options: NginxOptions): Place[] {
  const { useRegex, rewriteTarget } = readSettings(ingress, options);
  const places: Place[] = [];
  for (const [r, { host = "", http }] of (ingress.spec.rules ?? []).entries())
    for (const [p, { path, pathType }] of (http?.paths ?? []).entries())
      places.push({
        ingress,
        field: `spec.rules[${r}].http.paths[${p}]`,
        host,
        path: path || "/",
        type: pathType,
        useRegex,
        rewrites: rewriteTarget !== undefined,
      });
  return places;
}

/** The same path in other case, and longer. */
function otherSpellings(path: string): string[] {
  const other = /[a-z]/.test(path) ? path.toUpperCase() : path.toLowerCase();
  return [...(other === path ? [] : [other]), `${other}-more`];
}

/** The literal text that an expression begins with. */
function literalOf(expression: string): string {
  const [literal = "/"] = /^[\w/.~-]*/.exec(expression) ?? [];
  return literal;
}
