import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  parseQuantity,
  resources,
  type LimitRange,
  type LimitRangeItem,
  type PersistentVolumeClaim,
  type Pod,
} from "../../kube/index.ts";
import { forbidden, type Admission } from "../registry/index.ts";
import { prefixFor, type Storage } from "../storage/index.ts";

type Amounts = Readonly<Record<string, string>>;

const rangesIn = (storage: Storage, namespace: string): LimitRange[] =>
  storage
    .of(resources.LimitRange)
    .under(prefixFor(resources.LimitRange, namespace))
    .map((entry) => entry.object as LimitRange);

/** Containers of a new Pod that say nothing of a resource get what the LimitRanges of the namespace say. */
export function limitRangeDefaults(storage: Storage): Admission {
  return ({ operation, context, object }) => {
    if (operation !== "CREATE" || context.resource !== resources.Pod || context.subresource !== "" || !object) return;
    for (const range of rangesIn(storage, context.namespace)) giveDefaults(object as Pod, range);
  };
}

function giveDefaults(pod: Pod, { spec }: LimitRange): void {
  const limits: Record<string, string> = {};
  const requests: Record<string, string> = {};
  for (const item of spec.limits) {
    if (item.type !== "Container") continue;
    // What is only limited is asked for in full.
    Object.assign(limits, item.default);
    Object.assign(requests, item.defaultRequest);
  }
  const notes: string[] = [];
  const give = (containers: NonNullable<Pod["spec"]>["containers"], what: string): void => {
    for (const container of containers) {
      const given: string[] = [];
      for (const [field, defaults] of [
        ["limits", limits],
        ["requests", requests],
      ] as const) {
        const missing = Object.keys(defaults).filter((name) => container.resources?.[field]?.[name] === undefined);
        if (missing.length === 0) continue;
        const amounts = Object.fromEntries(missing.map((name) => [name, defaults[name] ?? "0"]));
        container.resources = { ...container.resources, [field]: { ...container.resources?.[field], ...amounts } };
        const kind = field === "limits" ? "limit" : "request";
        given.push(`${missing.sort().join(", ")} ${kind} for ${what} ${container.name}`);
      }
      // As upstream tells them: requests before limits.
      notes.push(...given.reverse());
    }
  };
  give(pod.spec?.containers ?? [], "container");
  give(pod.spec?.initContainers ?? [], "init container");
  if (notes.length === 0) return;
  const key = "kubernetes.io/limit-ranger";
  pod.metadata.annotations = { ...pod.metadata.annotations, [key]: `LimitRanger plugin set: ${notes.join("; ")}` };
}

/** Pods and claims outside what the LimitRanges of their namespace allow are refused. A validating step. */
export function limitRanger(storage: Storage): Admission {
  return ({ operation, context, object }) => {
    const { resource, namespace, subresource } = context;
    if (!object || subresource !== "") return;
    const isPod = resource === resources.Pod && operation === "CREATE";
    const isClaim = resource === resources.PersistentVolumeClaim && (operation === "CREATE" || operation === "UPDATE");
    if (!isPod && !isClaim) return;
    for (const { spec } of rangesIn(storage, namespace)) {
      const faults = spec.limits.flatMap((item) =>
        isPod ? podFaults(object as Pod, item) : claimFaults(object as PersistentVolumeClaim, item),
      );
      const told = [...new Set(faults)];
      if (told.length > 0)
        throw forbidden(resource, object.metadata.name, told.length === 1 ? (told[0] ?? "") : `[${told.join(", ")}]`);
    }
  };
}

function podFaults({ spec }: Pod, item: LimitRangeItem): string[] {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  if (item.type === "Container")
    return containers.flatMap(({ resources: own }) => faultsOf(item, own?.requests ?? {}, own?.limits ?? {}));
  if (item.type !== "Pod" || !spec) return [];
  const total = (field: "requests" | "limits"): Amounts =>
    sum(spec.containers.map(({ resources: own }) => own?.[field] ?? {}));
  return faultsOf(item, total("requests"), total("limits"));
}

function claimFaults({ spec }: PersistentVolumeClaim, item: LimitRangeItem): string[] {
  if (item.type !== "PersistentVolumeClaim") return [];
  const requests = spec?.resources?.requests ?? {};
  return [
    ...Object.entries(item.min ?? {}).flatMap(([name, least]) => under(item.type, name, least, requests, {})),
    ...Object.entries(item.max ?? {}).flatMap(([name, most]) =>
      compareQuantities(requests[name] ?? "0", most) > 0
        ? [
            `maximum ${name} usage per ${item.type} is ${most}, but request is ${canonicalQuantity(requests[name] ?? "0")}`,
          ]
        : [],
    ),
  ];
}

function faultsOf(
  { type, min = {}, max = {}, maxLimitRequestRatio = {} }: LimitRangeItem,
  requests: Amounts,
  limits: Amounts,
): string[] {
  return [
    ...Object.entries(min).flatMap(([name, least]) => under(type, name, least, requests, limits)),
    ...Object.entries(max).flatMap(([name, most]) => over(type, name, most, requests, limits)),
    ...Object.entries(maxLimitRequestRatio).flatMap(([name, ratio]) => ratioFault(type, name, ratio, requests, limits)),
  ];
}

function under(type: string, name: string, least: string, requests: Amounts, limits: Amounts): string[] {
  const rule = `minimum ${name} usage per ${type} is ${least}`;
  const request = requests[name];
  const limit = limits[name];
  if (request === undefined) return [`${rule}.  No request is specified`];
  if (compareQuantities(request, least) < 0) return [`${rule}, but request is ${request}`];
  if (limit !== undefined && compareQuantities(limit, least) < 0) return [`${rule}, but limit is ${limit}`];
  return [];
}

function over(type: string, name: string, most: string, requests: Amounts, limits: Amounts): string[] {
  const rule = `maximum ${name} usage per ${type} is ${most}`;
  const request = requests[name];
  const limit = limits[name];
  if (limit === undefined) return [`${rule}.  No limit is specified`];
  if (compareQuantities(limit, most) > 0) return [`${rule}, but limit is ${limit}`];
  if (request !== undefined && compareQuantities(request, most) > 0) return [`${rule}, but request is ${request}`];
  return [];
}

function ratioFault(type: string, name: string, ratio: string, requests: Amounts, limits: Amounts): string[] {
  const rule = `${name} max limit to request ratio per ${type} is ${ratio}`;
  const request = parseQuantity(requests[name] ?? "0").nano;
  const limit = parseQuantity(limits[name] ?? "0").nano;
  if (request === 0n) return [`${rule}, but no request is specified or request is 0`];
  if (limit === 0n) return [`${rule}, but no limit is specified or limit is 0`];
  const provided = Number(limit) / Number(request);
  if (provided <= Number(parseQuantity(ratio).nano) / 1e9) return [];
  return [`${rule}, but provided ratio is ${provided.toFixed(6)}`];
}

/** Sums of what every container says something of. */
function sum(all: readonly Amounts[]): Amounts {
  const names = new Set(all.flatMap((one) => Object.keys(one)));
  return Object.fromEntries(
    [...names].flatMap((name) => {
      const amounts = all.map((one) => one[name]).filter((amount) => amount !== undefined);
      return amounts.length === all.length ? [[name, addQuantities(...amounts)]] : [];
    }),
  );
}
