import { fault, invalids, type Faults } from "../validation/fault.ts";
import { semanticEqual } from "../values/equal.ts";
import { isConfigKey } from "../values/names.ts";

/** A ConfigMap or a Secret holds at most this many bytes. */
export const maxDataBytes = 1024 * 1024;

type Data = Readonly<Record<string, string>> | undefined;

export const base64Size = (text: string): number => Buffer.byteLength(text, "base64");

export function* validateKeys(data: Data, path: string): Faults {
  for (const key of Object.keys(data ?? {})) yield* invalids(`${path}[${key}]`, key, isConfigKey(key));
}

interface Immutable {
  readonly immutable?: boolean;
}

/** What may not change once `immutable: true` was set. */
export function* validateImmutableData<T extends Immutable>(
  object: T,
  old: T,
  fields: readonly (keyof T & string)[],
): Faults {
  if (!old.immutable) return;
  if (!object.immutable) yield fault.forbidden("immutable", "field is immutable when `immutable` is set");
  for (const field of fields) {
    if (!semanticEqual(object[field], old[field])) {
      yield fault.forbidden(field, "field is immutable when `immutable` is set");
    }
  }
}
