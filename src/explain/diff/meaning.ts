import { keyOf, type Node } from "../../kube/index.ts";
import { type Listener, poolsOf, type Route, routesOf, textOf, type Translation } from "../../routing/index.ts";
import type { Frontend, PortPlan, ProxyContext, ServiceEndpoint } from "../../services/index.ts";
import { decide } from "../../services/index.ts";
import type { Cluster } from "../cluster.ts";
import { at } from "../packet/client.ts";

/** One thing that would be otherwise. */
export interface Change {
  readonly kind: "added" | "removed" | "changed";
  /** `Service shop/web`. */
  readonly object: string;
  /** What it is about: `ClusterIP 10.96.0.5:80/TCP`, `a.example Prefix /`. */
  readonly what: string;
  readonly before?: string;
  readonly after?: string;
}

/** What would be otherwise for clients: frontends and where each kind of client is led. */
export function serviceChanges(before: Cluster, after: Cluster, keys: Iterable<string>): Change[] {
  const nodes = after.objects.nodes.length > 0 ? after.objects.nodes : before.objects.nodes;
  return [...keys].flatMap((key) => changesOfService(key, before, after, nodes));
}

/** Services that may be led otherwise: those of which an object is another. */
export function touchedServices(before: Cluster, after: Cluster): Set<string> {
  const touched = new Set<string>();
  const all = new Set([...before.objects.services, ...after.objects.services].map(keyOf));
  for (const key of all) {
    const same = sameJson(before.service(key), after.service(key)) && sameJson(before.slices(key), after.slices(key));
    if (!same) touched.add(key);
  }
  return touched;
}

const sameJson = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

function changesOfService(key: string, before: Cluster, after: Cluster, nodes: readonly Node[]): Change[] {
  const object = `Service ${key}`;
  const was = facesOf(key, before, nodes);
  const is = facesOf(key, after, nodes);
  const changes: Change[] = [];
  for (const [what, text] of was) {
    const now = is.get(what);
    if (now === undefined) changes.push({ kind: "removed", object, what, before: text });
    else if (now !== text) changes.push({ kind: "changed", object, what, before: text, after: now });
  }
  for (const [what, text] of is) if (!was.has(what)) changes.push({ kind: "added", object, what, after: text });
  return changes;
}

/** What clients meet at each frontend, in words; nodes that differ are told apart. */
function facesOf(key: string, cluster: Cluster, nodes: readonly Node[]): Map<string, string> {
  const faces = new Map<string, Map<string, string[]>>();
  for (const { metadata } of nodes) {
    const model = cluster.modelOf(metadata.name);
    const plan = model.plan(key);
    if (!plan) continue;
    if (plan.ignored) add("every address", `not served: ${plan.ignored.reason}`, metadata.name);
    for (const { frontend, winner } of plan.conflicts)
      add(titleOf(frontend), `taken by Service ${winner}, which is older`, metadata.name);
    for (const port of plan.ports)
      for (const frontend of port.frontends)
        add(titleOf(frontend), wordsOf(port, frontend, model.context), metadata.name);
  }
  const texts = new Map<string, string>();
  for (const [what, said] of faces) {
    const parts = [...said].map(([words, on]) => (said.size === 1 ? words : `on ${on.join(", ")}: ${words}`));
    texts.set(what, parts.join("; "));
  }
  return texts;

  function add(what: string, words: string, node: string): void {
    const said = faces.get(what) ?? new Map<string, string[]>();
    faces.set(what, said.set(words, [...(said.get(words) ?? []), node]));
  }
}

function titleOf({ kind, address, port, protocol }: Frontend): string {
  return address === undefined ? `${kind} ${port}/${protocol}` : `${kind} ${at(address, port)}/${protocol}`;
}

/** What pods, the node and clients outside meet; what is the same for several is said once. */
function wordsOf(port: PortPlan, frontend: Frontend, context: ProxyContext): string {
  const { sourceRanges, ...open } = frontend;
  const groups = new Map<string, { all: string[]; masked: string[] }>();
  for (const kind of ["pod", "node", "outside"] as const) {
    const decision = decide(port, open, { address: "", class: kind }, context);
    const text = textOfDecision(decision);
    const group = groups.get(text) ?? { all: [], masked: [] };
    group.all.push(names[kind]);
    if (decision.verdict === "forward" && decision.masquerade) group.masked.push(names[kind]);
    groups.set(text, group);
  }
  const said = [...groups].map(([text, { all, masked }]) => {
    const whole =
      masked.length === all.length ? ", masked" : masked.length > 0 ? `, masked for ${masked.join(" and ")}` : "";
    return `${groups.size === 1 ? "" : `${all.join(" and ")}: `}${text}${whole}`;
  });
  const ranges = sourceRanges ? [`only from ${sourceRanges.join(", ")}`] : [];
  const affinity = port.affinitySeconds === undefined ? [] : [`clients stay for ${port.affinitySeconds} s`];
  return [...said, ...ranges, ...affinity].join("; ");
}

const names = { pod: "pods", node: "the node", outside: "outside" } as const;

function textOfDecision(decision: ReturnType<typeof decide>): string {
  if (decision.verdict !== "forward") return `${decision.verdict} (${decision.because[0]?.reason ?? ""})`;
  return namesOf(decision.endpoints);
}

function namesOf(endpoints: readonly ServiceEndpoint[]): string {
  const names = endpoints.map(({ address, port }) => at(address, port));
  const shown = names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
  return `to ${shown}`;
}

/** What is so in one state, about an object. */
export interface Said {
  readonly object: string;
  readonly what: string;
  readonly text: string;
}

/** What would be otherwise for requests. */
export function routeChanges(before: Translation, after: Translation): Change[] {
  return changesOf(
    routesIn(before, () => ""),
    routesIn(after, () => ""),
  );
}

/** What is said in one of two states only, or otherwise. */
export function changesOf(was: ReadonlyMap<string, Said>, is: ReadonlyMap<string, Said>): Change[] {
  const changes: Change[] = [];
  for (const [id, { text, what, object }] of was) {
    const now = is.get(id);
    if (!now) changes.push({ kind: "removed", object, what, before: text });
    else if (now.text !== text)
      changes.push({ kind: "changed", object: now.object, what, before: text, after: now.text });
  }
  for (const [id, { text, what, object }] of is)
    if (!was.has(id)) changes.push({ kind: "added", object, what, after: text });
  return changes;
}

/** The routes of HTTP, by what they are for. @param where names the listener, where there are several to tell apart */
export function routesIn(
  { model }: Pick<Translation, "model">,
  where: (listener: Listener) => string,
): Map<string, Said> {
  const found = new Map<string, Said>();
  for (const listener of model.listeners) {
    if (listener.protocol !== "HTTP") continue;
    for (const route of routesOf(listener)) {
      const backends = poolsOf(model, route).map(
        ({ pool, weight }) =>
          `Service ${pool.service.namespace}/${pool.service.name} port ${pool.port}${route.rule.backends.length > 1 ? ` (weight ${weight})` : ""}${pool.absent ? `: ${pool.absent}, 503` : ""}`,
      );
      const object = textOf(route.owner.object);
      const what = `route ${titleOfRoute(route)}${where(listener)}`;
      found.set(what, { text: `${backends.join(", ") || "no backend"} by ${object}`, what, object });
    }
  }
  return found;
}

function titleOfRoute({ host, path, method, headers, query }: Route): string {
  return [
    host || "any host",
    path ? `${path.type} ${path.value || "/"}` : "default backend",
    ...(method ? [method] : []),
    ...headers.map(({ name, value }) => `${name}: ${value}`),
    ...query.map(({ name, value }) => `?${name}=${value}`),
  ].join(" ");
}
