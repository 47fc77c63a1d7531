/** How the store's keys lie in etcd: what every key begins with here is replaced by a prefix there. */
export interface KeyMap {
  toWire(key: string): Buffer;
  /** Undefined: not one of ours. */
  fromWire(bytes: Uint8Array): string | undefined;
  /** All keys that begin with `prefix`, strictly after `after`. */
  range(prefix: string, after: string): { readonly key: Buffer; readonly end: Buffer };
  /** Every key in etcd, also others'. */
  readonly everything: { readonly key: Buffer; readonly end: Buffer };
}

const nul = Buffer.from([0]);

/**
 * `root`: what every key here begins with, for example `/registry/`; `prefix`: what stands in its place in etcd. Both may be empty, or
 * end where others' keys can not go on.
 */
export function createKeyMap({ root = "", prefix = "" }: { root?: string; prefix?: string }): KeyMap {
  const head = Buffer.from(prefix);
  const toWire = (key: string): Buffer => {
    if (!key.startsWith(root)) throw new TypeError(`the key ${JSON.stringify(key)} does not begin with ${root}`);
    return Buffer.from(root === prefix ? key : prefix + key.slice(root.length));
  };
  return {
    toWire,
    fromWire(bytes) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      if (buffer.length < head.length || head.compare(buffer, 0, head.length) !== 0) return undefined;
      return root === prefix ? buffer.toString() : root + buffer.toString("utf8", head.length);
    },
    range(prefixHere, after) {
      // A prefix shorter than the root means all that there is.
      const from = root.startsWith(prefixHere) ? head : toWire(prefixHere);
      // The first key after `after` is `after` with a NUL added.
      const next = after === "" || !after.startsWith(root) ? nul : Buffer.concat([toWire(after), nul]);
      const key = Buffer.compare(next, from) > 0 ? next : from.length > 0 ? from : nul;
      return { key, end: endOf(from) };
    },
    everything: { key: nul, end: nul },
  };
}

/** The first key that comes after all that begin with `prefix`; NUL means: to the end. UTF-8 has no byte 0xff. */
function endOf(prefix: Buffer): Buffer {
  const last = prefix.at(-1);
  if (last === undefined || last === 0xff) return nul;
  const end = Buffer.from(prefix);
  end[end.length - 1] = last + 1;
  return end;
}
