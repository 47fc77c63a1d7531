import { StoreError } from "../store.ts";
import { createEtcdClient } from "./client.ts";
import { openEtcdStore, type EtcdStoreOptions } from "./etcd.ts";

export interface EtcdMemberReport {
  readonly endpoint: string;
  readonly version: string;
  /** True when it knows a leader. */
  readonly led: boolean;
  /** Bytes of its database file. */
  readonly bytes: number;
  readonly revision: number;
}

export interface EtcdReport {
  readonly members: readonly EtcdMemberReport[];
  readonly revision: number;
  readonly compacted: number;
  /** Keys of the store, others' in the same etcd not counted. */
  readonly keys: number;
  /** Empty: all is well. */
  readonly findings: readonly { readonly at: string; readonly problem: string }[];
}

/** Asks every member how it is, and reads the store's keys. Changes nothing. Throws StoreError when no member answers. */
export async function checkEtcd(options: EtcdStoreOptions): Promise<EtcdReport> {
  const findings: { at: string; problem: string }[] = [];
  const members: EtcdMemberReport[] = [];
  const clusters = new Set<bigint>();
  for (const endpoint of options.endpoints) {
    const client = createEtcdClient({ ...options, endpoints: [endpoint], timeout: 3000 });
    try {
      const status = await client.call("Status", {}, "read");
      if (status.header?.cluster_id !== undefined) clusters.add(status.header.cluster_id);
      const led = (status.leader ?? 0n) !== 0n;
      if (!led) findings.push({ at: endpoint, problem: "it knows no leader" });
      for (const problem of status.errors ?? []) findings.push({ at: endpoint, problem });
      members.push({
        endpoint,
        version: status.version ?? "",
        led,
        bytes: status.dbSize ?? 0,
        revision: status.header?.revision ?? 0,
      });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      findings.push({ at: endpoint, problem: error.message });
    } finally {
      client.close();
    }
  }
  if (clusters.size > 1) findings.push({ at: "members", problem: "they belong to different clusters" });
  const store = await openEtcdStore(options);
  try {
    const first = await store.list("", { limit: 1 });
    const compacted = await store.compacted();
    return { members, revision: first.revision, compacted, keys: first.items.length + first.remaining, findings };
  } finally {
    await store.close();
  }
}
