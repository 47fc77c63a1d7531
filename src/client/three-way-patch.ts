import {
  cloneJson,
  type Definition,
  definitionOf,
  type GroupVersionKind,
  isObject,
  resolve,
  semanticEqual,
} from "../kube/index.ts";

type Fields = Readonly<Record<string, unknown>>;
type Patch = Record<string, unknown>;

/**
 * The strategic merge patch by which `current` becomes what is meant, as kubectl's client-side apply makes it: what `wanted`
 * says is set, what `last` (the draft that was applied before) said and `wanted` no longer says is removed, and what others set
 * stays. Lists are merged by the keys that the kind declares. Undefined when there is nothing to change.
 */
export function threeWayPatch(
  kind: GroupVersionKind,
  last: object | undefined,
  wanted: object,
  current: object,
): Patch | undefined {
  return mapPatch(definitionOf(kind)?.definition, (last ?? {}) as Fields, wanted as Fields, current as Fields);
}

function mapPatch(schema: Definition | undefined, last: Fields, wanted: Fields, current: Fields): Patch | undefined {
  const patch: Patch = {};
  for (const [key, value] of Object.entries(wanted)) {
    if (value === undefined || value === null) continue;
    const [before, now] = [last[key], current[key]];
    const field = fieldOf(schema, key);
    if (isObject(value) && isObject(now)) {
      const inner = mapPatch(field && resolve(field).definition, isObject(before) ? before : {}, value, now);
      if (inner) patch[key] = retaining(field, value, inner);
    } else if (Array.isArray(value) && Array.isArray(now) && strategiesOf(field).includes("merge")) {
      Object.assign(patch, listPatch(key, field, Array.isArray(before) ? before : [], value, now));
    } else if (!semanticEqual(value, now)) {
      patch[key] = cloneJson(value);
    }
  }
  for (const key of Object.keys(last)) {
    const dropped = wanted[key] === undefined || wanted[key] === null;
    if (dropped && current[key] !== undefined) patch[key] = null;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

/** Entries of the patch for a list that is merged. */
function listPatch(
  key: string,
  field: Definition | undefined,
  last: unknown[],
  wanted: unknown[],
  current: unknown[],
): Patch {
  const mergeKey = field?.["x-kubernetes-patch-merge-key"];
  if (!mergeKey) {
    const added = wanted.filter((item) => !current.includes(item));
    const dropped = last.filter((item) => !wanted.includes(item) && current.includes(item));
    return {
      ...(added.length > 0 ? { [key]: added } : {}),
      ...(dropped.length > 0 ? { [`$deleteFromPrimitiveList/${key}`]: dropped } : {}),
    };
  }
  const [was, want, is] = [byKey(mergeKey, last), byKey(mergeKey, wanted), byKey(mergeKey, current)];
  if (!want || !is) {
    // Two items have the same key (a port for TCP and for UDP): they can't be told apart, so the list is set as a whole.
    return semanticEqual(wanted, current) ? {} : { [key]: [...cloneJson(wanted), { $patch: "replace" }] };
  }
  const schema = field.items && resolve(field.items).definition;
  const items: Patch[] = [];
  for (const [id, item] of want) {
    const now = is.get(id);
    const inner = now ? mapPatch(schema, was?.get(id) ?? {}, item, now) : cloneJson(item);
    if (inner) items.push({ ...(now ? retaining(field, item, inner) : inner), [mergeKey]: id });
  }
  for (const id of was?.keys() ?? []) {
    if (!want.has(id) && is.has(id)) items.push({ [mergeKey]: id, $patch: "delete" });
  }
  if (items.length === 0) return {};
  const order = [...want.keys()].map((id) => ({ [mergeKey]: id }));
  return { [key]: items, [`$setElementOrder/${key}`]: order };
}

/** A union (`retainKeys`) drops the members that the draft doesn't name. */
function retaining(field: Definition | undefined, wanted: Fields, patch: Patch): Patch {
  return strategiesOf(field).includes("retainKeys") ? { ...patch, $retainKeys: Object.keys(wanted) } : patch;
}

/** Items by their key; undefined when one has none, or two have the same. */
function byKey(mergeKey: string, items: readonly unknown[]): Map<unknown, Fields> | undefined {
  const found = new Map<unknown, Fields>();
  for (const item of items) {
    const id = isObject(item) ? item[mergeKey] : undefined;
    if (!isObject(item) || id === undefined || found.has(id)) return undefined;
    found.set(id, item);
  }
  return found;
}

const fieldOf = (schema: Definition | undefined, key: string): Definition | undefined =>
  schema?.properties?.[key] ?? schema?.additionalProperties;

const strategiesOf = (field: Definition | undefined): string[] =>
  (field?.["x-kubernetes-patch-strategy"] ?? "").split(",");
