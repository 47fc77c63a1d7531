import type { Pod, ResourceQuota } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import type { Resource } from "../resource.ts";
import { addQuantities, canonicalQuantity, compareQuantities } from "../values/quantity.ts";
import { isInScope } from "./scopes.ts";
import { add, isCounted, only, usageOf, type Amounts } from "./usage.ts";

/** A change of one object, as quotas see it. */
export interface QuotaChange {
  readonly resource: Pick<Resource, "group" | "plural">;
  readonly object: KubeObject;
  /** Absent: the object is new. */
  readonly old?: KubeObject;
}

/** What a change does to a quota. */
export type QuotaAnswer =
  | { readonly type: "none" }
  /** It is counted: what is used from then on. */
  | { readonly type: "used"; readonly used: Amounts }
  /** It would be too much, or does not say what the quota needs to know. */
  | { readonly type: "refused"; readonly why: string };

/** Decides one change against one quota whose status is known, in upstream's words (apiserver `resourcequota`). */
export function checkQuota(quota: ResourceQuota, { resource, object, old }: QuotaChange): QuotaAnswer {
  const { hard = {}, used = {} } = quota.status ?? {};
  const names = Object.keys(hard).filter((name) => isCounted(resource, name));
  if (names.length === 0 || !isInScope(quota, resource, object)) return { type: "none" };
  const missing = resource.group === "" && resource.plural === "pods" && !old ? missingIn(object as Pod, names) : "";
  if (missing) return { type: "refused", why: `failed quota: ${quota.metadata.name}: must specify ${missing}` };

  const before = old && isInScope(quota, resource, old) ? usageOf(resource, old) : {};
  const wanted: Record<string, string> = {};
  for (const [name, amount] of Object.entries(only(usageOf(resource, object), hard))) {
    const more = subtract(amount, before[name] ?? "0");
    if (compareQuantities(more, "0") > 0) wanted[name] = more;
  }
  if (Object.keys(wanted).length === 0) return { type: "none" };
  const after = add(used, wanted);
  const exceeded = Object.keys(wanted).filter((name) => compareQuantities(after[name] ?? "0", hard[name] ?? "0") > 0);
  if (exceeded.length === 0) return { type: "used", used: after };
  const told = (amounts: Amounts): string =>
    exceeded
      .sort()
      .map((name) => `${name}=${canonicalQuantity(amounts[name] ?? "0")}`)
      .join(",");
  return {
    type: "refused",
    why: `exceeded quota: ${quota.metadata.name}, requested: ${told(wanted)}, used: ${told(used)}, limited: ${told(hard)}`,
  };
}

/** What is used of a quota by all objects there are, for the names that `resources` have. */
export function usedOf(
  quota: ResourceQuota,
  objects: Iterable<{ readonly resource: Pick<Resource, "group" | "plural">; readonly object: KubeObject }>,
): Amounts {
  const hard = quota.spec.hard ?? {};
  let used: Amounts = Object.fromEntries(Object.keys(hard).map((name) => [name, "0"]));
  for (const { resource, object } of objects)
    if (isInScope(quota, resource, object)) used = add(used, only(usageOf(resource, object), hard));
  return used;
}

function subtract(a: string, b: string): string {
  return addQuantities(a, b.startsWith("-") ? b.slice(1) : `-${b}`);
}

/** What pods must say of each container when a quota limits it. */
const constrained = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/** `limits.cpu for: a,b; memory for: a`. */
function missingIn({ spec }: Pod, names: readonly string[]): string {
  const required = constrained.filter((name) => names.includes(name)).sort();
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  return required
    .flatMap((name) => {
      const [kind, resource] = name.startsWith("limits.")
        ? (["limits", name.slice(7)] as const)
        : (["requests", name.replace(/^requests\./, "")] as const);
      const lacking = containers.filter(({ resources }) => resources?.[kind]?.[resource] === undefined);
      return lacking.length > 0
        ? [
            `${name} for: ${lacking
              .map((one) => one.name)
              .sort()
              .join(",")}`,
          ]
        : [];
    })
    .join("; ");
}
