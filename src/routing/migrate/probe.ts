import { certificatesOf, type Route, routesOf, type RoutingModel } from "../model.ts";
import { type AskedRequest, type Outcome, outcomeOf } from "../outcome.ts";
import { textOf } from "../owner.ts";
import { listenerFor, wordsOf } from "./replay.ts";

/** A request that would fare otherwise by another model. */
export interface ProbeDifference {
  readonly request: string;
  readonly was: string;
  readonly is: string;
  readonly object: string;
  readonly field: string;
}

export interface ProbeReport {
  readonly requests: number;
  readonly differences: readonly ProbeDifference[];
}

/**
 * Compares two models by requests that stand for every path of the first: the path itself, with a slash, in capitals, longer and below,
 * each in
 * clear, and by TLS where there is a certificate. Which of equal backends gets a request is not compared.
 */
export function probeModels(before: RoutingModel, after: RoutingModel): ProbeReport {
  const differences: ProbeDifference[] = [];
  const asked = new Set<string>();
  const secure = new Set(before.listeners.flatMap((each) => [...certificatesOf(each)].map(({ hostname }) => hostname)));
  const schemesOf = (host: string): readonly ("http" | "https")[] =>
    secure.has(host) || secure.has(host.replace(/^[^.]+/, "*")) ? ["http", "https"] : ["http"];
  for (const listener of before.listeners)
    for (const route of routesOf(listener))
      for (const path of pathsFor(route))
        for (const scheme of schemesOf(route.host)) {
          const host = route.host === "" ? "host.invalid" : route.host.replace(/^\*/, "any");
          const request = `GET ${scheme}://${host}${path}`;
          if (asked.has(request)) continue;
          asked.add(request);
          const ask = (model: RoutingModel): Outcome => {
            const question: AskedRequest = { host, path, scheme, listener: listenerFor(model, scheme) };
            return outcomeOf(model, question);
          };
          const was = ask(before);
          const is = ask(after);
          if (isSame(was, is)) continue;
          const { object, field } = (was.route ?? route).owner;
          differences.push({ request, was: wordsOf(was), is: wordsOf(is), object: textOf(object), field });
        }
  return { requests: asked.size, differences };
}

function pathsFor({ path }: Route): string[] {
  if (!path) return ["/", "/other"];
  const literal = path.type === "RegularExpression" ? literalOf(path.value) : path.value || "/";
  const bare = literal === "/" ? "" : literal.replace(/\/$/, "");
  return [...new Set([literal, `${bare}/`, bare.toUpperCase() || "/", `${bare}-more`, `${bare}/below`])].map((each) =>
    each.startsWith("/") ? each : `/${each}`,
  );
}

/** The text that an expression of ingress-nginx begins with: of `(?i)(?:/foo(/|$)(.*)).*` it is `/foo`. */
function literalOf(value: string): string {
  const source = value.replace(/^\(\?i\)\(\?:/, "");
  const [literal = "/"] = /^[\w/.~-]*/.exec(source) ?? [];
  return literal === "" ? "/" : literal;
}

function isSame(a: Outcome, b: Outcome): boolean {
  if (a.kind === "forward" && b.kind === "forward") {
    const services = ({ pools }: { pools: readonly string[] }): string =>
      [...new Set(pools.map((key) => key.split(":")[0]))].sort().join();
    return services(a) === services(b) && a.path === b.path && a.hostname === b.hostname;
  }
  // An answer of the proxy's own is the same for a client, whatever led to it.
  if (a.kind === "answer" && b.kind === "answer") return a.status === b.status;
  return a.kind === b.kind && wordsOf(a) === wordsOf(b);
}
