import { isStatus, resources, type ConfigMap } from "../kube/index.ts";
import type { Client } from "../client/index.ts";
import type { Claims } from "./allocate.ts";
import type { ServiceIdentity } from "./provider.ts";

const where = { namespace: "kube-system", name: "fairlead-addresses" };

/**
 * The durable record of who holds which address: the ConfigMap `fairlead-addresses` in `kube-system`, an entry an address. It is written
 * before an address appears in a status, and only over the version that was read, so two writers cannot give an address twice.
 */
export interface ClaimRecord {
  /** What is recorded. */
  read(): Promise<Claims>;
  /** Replaces the record that was read or written last. Throws StatusError Conflict when someone else has written since. */
  write(claims: Claims): Promise<void>;
}

export function createClaimRecord(client: Client): ClaimRecord {
  let current: ConfigMap | undefined;
  return {
    async read() {
      try {
        current = await client.get(resources.ConfigMap, where);
      } catch (error) {
        if (!isStatus(error, "NotFound")) throw error;
        current = undefined;
      }
      return decode(current?.data ?? {});
    },
    async write(claims) {
      const data = encode(claims);
      current = current
        ? await client.update(resources.ConfigMap, { ...current, data })
        : await client.create(resources.ConfigMap, { metadata: where, data });
    },
  };
}

/** `10.97.0.1: shop/web 1b4e28ba-…`. A key may have no colon: in IPv6 addresses they are written as underscores. */
function encode(claims: Claims): Record<string, string> {
  const data: Record<string, string> = {};
  for (const [address, { service, uid }] of claims) data[address.replaceAll(":", "_")] = `${service} ${uid}`;
  return data;
}

function decode(data: Readonly<Record<string, string>>): Claims {
  const claims = new Map<string, ServiceIdentity>();
  for (const [key, value] of Object.entries(data)) {
    const [service = "", uid = ""] = value.trim().split(/\s+/);
    claims.set(key.replaceAll("_", ":"), { service, uid });
  }
  return claims;
}
