import type { Store } from "../store.ts";
import type { Keyring } from "./keyring.ts";

const root = "/registry/";
/** Values looked at, and written, at once. */
const page = 200;

export interface Rewritten {
  /** Values under a key that the keyring covers. */
  readonly seen: number;
  /** Those that were kept in another way than the first provider's and now are not. */
  readonly rewritten: number;
}

/**
 * Writes every value anew that is not kept as the first provider would keep it: after a key was put in front, or when encryption is
 * begun. `raw` is the store beneath the encryption. It may be ended at any time and begun again; a value that somebody else writes
 * meanwhile is left to them. Throws EncryptionError for a value that no key opens.
 */
export async function rewriteStale(raw: Store, keyring: Keyring, signal: AbortSignal): Promise<Rewritten> {
  let seen = 0;
  let rewritten = 0;
  let after: string | undefined;
  for (;;) {
    const { items, more } = await raw.list(root, { limit: page, ...(after === undefined ? {} : { after }) });
    const stale = items.flatMap(({ key, value, modRevision }) => {
      const transform = keyring.transformOf(key);
      if (!transform) return [];
      seen++;
      return transform.isStale(value)
        ? [{ key, modRevision, value: transform.seal(key, transform.open(key, value)) }]
        : [];
    });
    const results = await Promise.all(
      stale.map(({ key, modRevision, value }) => raw.write([{ key, modRevision }], [{ type: "put", key, value }])),
    );
    rewritten += results.filter(({ ok }) => ok).length;
    after = items.at(-1)?.key;
    if (!more || after === undefined || signal.aborted) return { seen, rewritten };
  }
}
