import type { KubeObject, Resource } from "../../kube/index.ts";
import type { Compare, Operation } from "../../store/index.ts";
import { keyFor, storedBytes, type Storage } from "../storage/index.ts";

const group = "fairlead.dev";

function record(kind: string, plural: string): Resource {
  return {
    group,
    version: "v1",
    kind,
    plural,
    singular: plural.slice(0, -1),
    namespaced: false,
    shortNames: [],
    categories: [],
    subresources: [],
  };
}

/**
 * Records of what Services hold: one object per address and port, named by it, as KEP-1880 does for addresses. They are written in
 * the same transaction as the Service, on the condition that they do not exist: so nothing is given twice, whatever dies when.
 */
export const addressRecords = record("ServiceAddress", "serviceaddresses");
export const portRecords = record("NodePort", "nodeports");

export function isHeld(storage: Storage, records: Resource, name: string): boolean {
  return storage.of(records).get(keyFor(records, { name })) !== undefined;
}

/** The conditions and writes that turn what was held into what shall be held. `owner` is named in the records. */
export function transfer(
  records: Resource,
  before: readonly string[],
  after: readonly string[],
  owner: KubeObject,
): { compare: Compare[]; operations: Operation[] } {
  const kept = new Set(before);
  const wanted = new Set(after);
  const compare: Compare[] = [];
  const operations: Operation[] = [];
  for (const name of wanted) {
    if (kept.has(name)) continue;
    const key = keyFor(records, { name });
    const { namespace = "", name: ownerName, uid = "" } = owner.metadata;
    const object = {
      apiVersion: `${group}/v1`,
      kind: records.kind,
      metadata: { name },
      owner: { namespace, name: ownerName, uid },
    };
    compare.push({ key, modRevision: 0 });
    operations.push({ type: "put", key, value: storedBytes(records, object) });
  }
  for (const name of kept) {
    if (!wanted.has(name)) operations.push({ type: "delete", key: keyFor(records, { name }) });
  }
  return { compare, operations };
}
