import { randomInt } from "node:crypto";
import type { EtcdClient } from "./client.ts";

/** Leases for keys that end by themselves. Keys that come soon after each other share one, so that there are few. */
export interface Leases {
  /** A lease that lasts for at least so many seconds. Throws StoreError. */
  lasting(seconds: number): Promise<number>;
  /** A lease is gone although it should be there: new ones are made. */
  forget(): void;
}

/** Keys that get one lease at most, and seconds that it is given out: as in kube-apiserver, but for short lives a quarter of them. */
const sharedBy = 1000;
const sharedFor = (seconds: number): number => Math.min(60, Math.ceil(seconds / 4));

interface Lease {
  readonly id: Promise<number>;
  readonly until: number;
  users: number;
}

/** `now`: milliseconds that never go back. */
export function createLeases(client: Pick<EtcdClient, "call">, now: () => number): Leases {
  const current = new Map<number, Lease>();

  const grant = async (seconds: number): Promise<number> => {
    // Chosen here: an id of etcd's own may not fit a number. Two of the same would be an error of etcd's, not a mistake.
    const ID = randomInt(1, 2 ** 47);
    const answer = await client.call("LeaseGrant", { TTL: seconds + sharedFor(seconds), ID }, "write");
    return answer.ID ?? ID;
  };

  return {
    async lasting(seconds) {
      let lease = current.get(seconds);
      if (!lease || lease.until <= now() || lease.users >= sharedBy) {
        const made: Lease = { id: grant(seconds), until: now() + sharedFor(seconds) * 1000, users: 0 };
        current.set(seconds, made);
        made.id.catch(() => {
          if (current.get(seconds) === made) current.delete(seconds);
        });
        lease = made;
      }
      lease.users++;
      return lease.id;
    },
    forget() {
      current.clear();
    },
  };
}
