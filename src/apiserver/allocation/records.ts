import { randomUUID } from "node:crypto";
import { formatTime, parseIp, resources, type KubeObject, type Resource } from "../../kube/index.ts";
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
 * Records of what Services hold: one object per address and port, named by it; for addresses they are the IPAddresses of KEP-1880,
 * which clients see. They are written in the same transaction as the Service, on the condition that they do not exist: so nothing is
 * given twice, whatever dies when.
 */
export const addressRecords: Resource = resources.IPAddress;
export const portRecords = record("NodePort", "nodeports");

export function isHeld(storage: Storage, records: Resource, name: string): boolean {
  return storage.of(records).get(keyFor(records, { name })) !== undefined;
}

/** The IPAddress that says whose an address is. `now` in milliseconds. */
export function addressRecord(address: string, owner: KubeObject, now: number): KubeObject {
  const { namespace = "", name } = owner.metadata;
  const labels = {
    "ipaddress.kubernetes.io/ip-family": parseIp(address)?.family ?? "IPv4",
    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
  };
  const object = {
    apiVersion: "networking.k8s.io/v1",
    kind: "IPAddress",
    metadata: { name: address, uid: randomUUID(), creationTimestamp: formatTime(now), labels },
    spec: { parentRef: { resource: "services", namespace, name } },
  };
  return object;
}

/** The record that says whose a node port is. */
export function portRecord(port: string, owner: KubeObject): KubeObject {
  const { namespace = "", name, uid = "" } = owner.metadata;
  const object = {
    apiVersion: `${group}/v1`,
    kind: portRecords.kind,
    metadata: { name: port },
    owner: { namespace, name, uid },
  };
  return object;
}

/** The conditions and writes that turn what was held into what shall be held. `make` makes the record of what is new. */
export function transfer(
  records: Resource,
  before: readonly string[],
  after: readonly string[],
  make: (name: string) => KubeObject,
): { compare: Compare[]; operations: Operation[] } {
  const kept = new Set(before);
  const wanted = new Set(after);
  const compare: Compare[] = [];
  const operations: Operation[] = [];
  for (const name of wanted) {
    if (kept.has(name)) continue;
    const key = keyFor(records, { name });
    compare.push({ key, modRevision: 0 });
    operations.push({ type: "put", key, value: storedBytes(records, make(name)) });
  }
  for (const name of kept) {
    if (!wanted.has(name)) operations.push({ type: "delete", key: keyFor(records, { name }) });
  }
  return { compare, operations };
}
