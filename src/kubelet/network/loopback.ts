import { rmSync } from "node:fs";
import { join } from "node:path";
import { type AddressPool, openAddressPool } from "./address-pool.ts";
import { NetworkError, type PodNetwork } from "./network.ts";

/**
 * Pod addresses without root: 127/8 is the machine's own as a whole, so an address needs no set-up. Pods share the
 * node's network, so each must listen on its own address, which it finds in the variable POD_IP.
 */
export function createLoopbackNetwork(options: { readonly dir: string }): PodNetwork {
  const file = join(options.dir, "addresses.json");
  let pool: AddressPool | undefined;
  const opened = (): AddressPool => {
    if (!pool) throw new NetworkError("NO_CIDR", "the node has no pod range yet");
    return pool;
  };
  return {
    async setUp(podCIDRs) {
      pool = openAddressPool(file, podCIDRs.find((cidr) => !cidr.includes(":")) ?? "");
      return [];
    },
    attach: async (id) => ({ addresses: [opened().take(id)] }),
    detach: async (id) => opened().give(id),
    isAttached: async (id) => opened().holders().includes(id),
    async retain(ids) {
      for (const id of opened().holders()) if (!ids.has(id)) opened().give(id);
    },
    routeTo: async () => {},
    isIntact: async () => true,
    async tearDown() {
      rmSync(file, { force: true });
      pool = undefined;
    },
  };
}
