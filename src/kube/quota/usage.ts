import type { PersistentVolumeClaim, Pod, PodSpec, Service } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import type { Resource } from "../resource.ts";
import { addQuantities, compareQuantities } from "../values/quantity.ts";

/** Amounts by resource name: `cpu`, `requests.memory`, `count/pods`. */
export type Amounts = Readonly<Record<string, string>>;

type Names = Pick<Resource, "group" | "plural">;

/** Kinds that a quota may also count by their plain name. */
const plainCounts: ReadonlySet<string> = new Set([
  "configmaps",
  "persistentvolumeclaims",
  "replicationcontrollers",
  "resourcequotas",
  "secrets",
  "services",
]);

/** What one object uses of what quotas count (upstream's quota evaluators). */
export function usageOf(resource: Names, object: KubeObject): Amounts {
  const counted = countName(resource);
  const usage: Record<string, string> = { [counted]: "1" };
  if (resource.group !== "") return usage;
  if (plainCounts.has(resource.plural)) usage[resource.plural] = "1";
  switch (resource.plural) {
    case "pods":
      return { ...usage, ...podUsage(object as Pod) };
    case "services":
      return { ...usage, ...serviceUsage(object as Service) };
    case "persistentvolumeclaims":
      return { ...usage, ...claimUsage(object as PersistentVolumeClaim) };
    default:
      return usage;
  }
}

/** `count/configmaps`, `count/deployments.apps`. */
export const countName = ({ group, plural }: Names): string => `count/${plural}${group ? `.${group}` : ""}`;

/** True when a quota may name this for objects of the kind. */
export function isCounted(resource: Names, name: string): boolean {
  if (name === countName(resource)) return true;
  if (resource.group !== "") return false;
  if (plainCounts.has(resource.plural) && name === resource.plural) return true;
  switch (resource.plural) {
    case "pods":
      return (
        name === "pods" || computed.has(name) || (/^(requests|limits)\./.test(name) && name !== "requests.storage")
      );
    case "services":
      return name === "services.nodeports" || name === "services.loadbalancers";
    case "persistentvolumeclaims":
      return name === "requests.storage" || /\.storageclass\.storage\.k8s\.io\//.test(name);
    default:
      return false;
  }
}

const computed: ReadonlySet<string> = new Set(["cpu", "memory", "ephemeral-storage"]);

/** A pod that has ended, or whose node did not answer long after it should have gone, uses nothing but its place. */
const hasEnded = ({ status }: Pod): boolean => status?.phase === "Succeeded" || status?.phase === "Failed";

function podUsage(pod: Pod): Amounts {
  if (!pod.spec || hasEnded(pod)) return {};
  const usage: Record<string, string> = { pods: "1" };
  for (const [name, amount] of Object.entries(podTotal(pod.spec, "requests"))) {
    // Only what may not be overcommitted has no plain name.
    if (computed.has(name)) usage[name] = amount;
    if (name.startsWith("hugepages-")) usage[name] = amount;
    usage[`requests.${name}`] = amount;
  }
  for (const [name, amount] of Object.entries(podTotal(pod.spec, "limits")))
    if (computed.has(name)) usage[`limits.${name}`] = amount;
  return usage;
}

interface Container {
  readonly restartPolicy?: string;
  readonly resources?: { readonly requests?: Amounts; readonly limits?: Amounts };
}

/**
 * What a pod asks for in all: its containers and the init containers that stay together, or more if one init container before them
 * needs more; and its overhead.
 */
export function podTotal(spec: PodSpec, what: "requests" | "limits"): Amounts {
  const of = ({ resources }: Container): Amounts => resources?.[what] ?? {};
  let total = spec.containers.map(of).reduce(add, {});
  let staying: Amounts = {};
  let most: Amounts = {};
  for (const container of (spec.initContainers ?? []) as Container[]) {
    if (container.restartPolicy === "Always") {
      staying = add(staying, of(container));
      total = add(total, of(container));
      most = max(most, staying);
    } else most = max(most, add(staying, of(container)));
  }
  total = max(total, most);
  const own: Amounts = (spec as { resources?: Container["resources"] }).resources?.[what] ?? {};
  const overhead = what === "limits" ? only(spec.overhead ?? {}, total) : (spec.overhead ?? {});
  return add({ ...total, ...own }, overhead);
}

function serviceUsage({ spec }: Service): Amounts {
  const ports = String(spec?.ports?.length ?? 0);
  switch (spec?.type) {
    case "NodePort":
      return { "services.nodeports": ports };
    case "LoadBalancer":
      return {
        "services.loadbalancers": "1",
        "services.nodeports": spec.allocateLoadBalancerNodePorts === false ? given(spec.ports) : ports,
      };
    default:
      return {};
  }
}

const given = (ports: readonly { nodePort?: number }[] | undefined): string =>
  String((ports ?? []).filter(({ nodePort }) => nodePort).length);

function claimUsage({ metadata, spec, status }: PersistentVolumeClaim): Amounts {
  const storageClass =
    spec?.storageClassName ?? metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? "";
  const asked = spec?.resources?.requests?.["storage"];
  const allocated = status?.allocatedResources?.["storage"];
  const storage =
    asked !== undefined && allocated !== undefined && compareQuantities(allocated, asked) > 0 ? allocated : asked;
  const own = storageClass ? `${storageClass}.storageclass.storage.k8s.io/` : undefined;
  return {
    ...(own ? { [`${own}persistentvolumeclaims`]: "1" } : {}),
    ...(storage === undefined
      ? {}
      : { "requests.storage": storage, ...(own ? { [`${own}requests.storage`]: storage } : {}) }),
  };
}

export function add(a: Amounts, b: Amounts): Amounts {
  return merge(a, b, (x, y) => addQuantities(x, y));
}

function max(a: Amounts, b: Amounts): Amounts {
  return merge(a, b, (x, y) => (compareQuantities(x, y) >= 0 ? x : y));
}

function merge(a: Amounts, b: Amounts, both: (x: string, y: string) => string): Amounts {
  const result: Record<string, string> = { ...a };
  for (const [name, amount] of Object.entries(b)) {
    const other = result[name];
    result[name] = other === undefined ? amount : both(other, amount);
  }
  return result;
}

/** Those amounts whose names `names` has too. */
export function only(amounts: Amounts, names: Amounts): Amounts {
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => Object.hasOwn(names, name)));
}
