import type { KeyValue, Operation, Store, StoreEvent, WatchBatch } from "../store.ts";
import type { Keyring } from "./keyring.ts";

/**
 * A store whose values are kept as the keyring says: who uses it sees plain values, who looks at the disk, a backup or the wire to
 * etcd does not. Reads throw EncryptionError for a value that can not be decrypted.
 */
export function encryptedStore(inner: Store, keyring: Keyring): Store {
  const plain = (item: KeyValue): KeyValue => {
    const transform = keyring.transformOf(item.key);
    return transform ? { ...item, value: transform.open(item.key, item.value) } : item;
  };
  const sealed = (operation: Operation): Operation => {
    if (operation.type !== "put") return operation;
    const transform = keyring.transformOf(operation.key);
    return transform ? { ...operation, value: transform.seal(operation.key, operation.value) } : operation;
  };
  const shown = (event: StoreEvent): StoreEvent => {
    const transform = keyring.transformOf(event.key);
    if (!transform) return event;
    const { value, previous } = event;
    return {
      ...event,
      ...(value ? { value: transform.open(event.key, value) } : {}),
      ...(previous ? { previous: plain(previous) } : {}),
    };
  };
  /** Opens the watch at once, as the contract wants, and turns its batches as they come. */
  const shownWatch = (batches: AsyncIterable<WatchBatch>): AsyncIterable<WatchBatch> => ({
    [Symbol.asyncIterator]() {
      const iterator = batches[Symbol.asyncIterator]();
      return {
        async next() {
          const result = await iterator.next();
          if (result.done) return result;
          const { events, revision } = result.value;
          return { done: false, value: { events: events.map(shown), revision } };
        },
        async return() {
          await iterator.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  });

  return {
    shared: inner.shared,
    expires: inner.expires,
    async get(key, options) {
      const { item, revision } = await inner.get(key, options);
      return { item: item && plain(item), revision };
    },
    async list(prefix, options) {
      const result = await inner.list(prefix, options);
      return { ...result, items: result.items.map(plain) };
    },
    async write(compare, operations) {
      const result = await inner.write(compare, operations.map(sealed));
      if (result.ok) return result;
      return { ...result, current: new Map([...result.current].map(([key, item]) => [key, item && plain(item)])) };
    },
    watch: (prefix, options) => shownWatch(inner.watch(prefix, options)),
    compact: (revision) => inner.compact(revision),
    revision: () => inner.revision(),
    compacted: () => inner.compacted(),
    close: () => inner.close(),
  };
}
