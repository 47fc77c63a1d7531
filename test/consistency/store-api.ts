import type { Store } from "../../src/store/index.ts";
import type { Seen } from "./history.ts";
import type { Api } from "./workload.ts";

const prefix = "/k/";
const tokenOf = (value: Uint8Array): string => Buffer.from(value).toString();

/** The same actions on a bare store. */
export function storeApi(store: Store): Api {
  const put = (key: string, token: string) => ({ type: "put", key: prefix + key, value: Buffer.from(token) }) as const;
  return {
    async act(name, action) {
      const key = prefix + name;
      const { item } =
        action.type === "create" || action.type === "update" ? { item: undefined } : await store.get(key);
      switch (action.type) {
        case "get":
          return item
            ? { type: "ok", seen: { token: tokenOf(item.value), version: item.modRevision } }
            : { type: "absent" };
        case "create": {
          const result = await store.write([{ key, modRevision: 0 }], [put(name, action.token)]);
          if (!result.ok) return { type: "exists" };
          return { type: "ok", seen: { token: action.token, version: result.revision } };
        }
        case "update": {
          const result = await store.write([{ key, modRevision: action.base }], [put(name, action.token)]);
          if (result.ok) return { type: "ok", seen: { token: action.token, version: result.revision } };
          return result.current.get(key) ? { type: "conflict" } : { type: "absent" };
        }
        default: {
          if (!item) return { type: "absent" };
          const result = await store.write([{ key, modRevision: item.modRevision }], [{ type: "delete", key }]);
          if (!result.ok) return { type: "conflict" };
          return { type: "ok", seen: { token: tokenOf(item.value), version: item.modRevision } };
        }
      }
    },
    async list() {
      const { items, revision } = await store.list(prefix);
      const seen = items.map(({ key, value, modRevision }): [string, Seen] => [
        key.slice(prefix.length),
        { token: tokenOf(value), version: modRevision },
      ]);
      return { version: revision, items: new Map(seen) };
    },
    async *watch(from, signal) {
      for await (const batch of store.watch(prefix, { fromRevision: from + 1, signal })) {
        for (const { key, revision, value } of batch.events)
          yield { version: revision, key: key.slice(prefix.length), token: value && tokenOf(value) };
        yield { version: batch.revision };
      }
    },
  };
}
