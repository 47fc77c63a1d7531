import { cloneJson, isObject, own, semanticEqual, setOwn } from "../values/equal.ts";

/** Applies a JSON merge patch (RFC 7386). Inputs are not changed. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return cloneJson(patch);
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const key in patch) {
    const value = patch[key];
    if (value === null) delete result[key];
    else setOwn(result, key, applyMergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/**
 * The JSON merge patch that turns `current` into what is meant, as `kubectl apply` does for kinds without a schema:
 * what `modified` says is set, what `original` (the last applied) said and `modified` no longer says is removed,
 * and what others set stays. Undefined when there is nothing to change.
 */
export function threeWayMergePatch(
  original: object | undefined,
  modified: object,
  current: object,
): Record<string, unknown> | undefined {
  return difference(
    (original ?? {}) as Record<string, unknown>,
    modified as Record<string, unknown>,
    current as Record<string, unknown>,
  );
}

function difference(
  original: Record<string, unknown>,
  modified: Record<string, unknown>,
  current: Record<string, unknown>,
): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(modified)) {
    if (value === undefined || value === null) continue;
    const now = own(current, key);
    const before = own(original, key);
    if (isObject(value) && isObject(now)) {
      const inner = difference(isObject(before) ? before : {}, value, now);
      if (inner) setOwn(patch, key, inner);
    } else if (!semanticEqual(value, now)) setOwn(patch, key, cloneJson(value));
  }
  for (const key of Object.keys(original)) {
    const dropped = (own(modified, key) ?? null) === null;
    if (dropped && own(current, key) !== undefined) setOwn(patch, key, null);
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}
