import { createHash } from "node:crypto";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** RFC 4648 base 32 of the first ten bytes: 16 characters. */
function base32(bytes: Uint8Array): string {
  let bits = 0n;
  for (const byte of bytes.subarray(0, 10)) bits = (bits << 8n) | BigInt(byte);
  return Array.from({ length: 16 }, (_, i) => alphabet[Number((bits >> BigInt(75 - 5 * i)) & 31n)]).join("");
}

const hash = (text: string): string => base32(createHash("sha256").update(text).digest());

/**
 * Names of the chains of a Service port: those that kube-proxy gives, so that what people know of its rules helps them here.
 * @param id `PortPlan.id`: `namespace/name:port name/protocol`
 */
export function chainsOf(id: string): { cluster: string; local: string; external: string; firewall: string } {
  const slash = id.lastIndexOf("/");
  const protocol = id.slice(slash + 1).toLowerCase();
  // kube-proxy leaves the colon out where the port has no name.
  const name = hash(id.slice(0, slash).replace(/:$/, "") + protocol);
  return {
    cluster: `KUBE-SVC-${name}`,
    local: `KUBE-SVL-${name}`,
    external: `KUBE-EXT-${name}`,
    firewall: `KUBE-FW-${name}`,
  };
}

/** Name of the chain that leads to one endpoint of a Service port. */
export function endpointChain(id: string, address: string, port: number): string {
  const slash = id.lastIndexOf("/");
  const protocol = id.slice(slash + 1).toLowerCase();
  const host = address.includes(":") ? `[${address}]` : address;
  return `KUBE-SEP-${hash(`${id.slice(0, slash).replace(/:$/, "")}${protocol}${host}:${port}`)}`;
}

/** Chains that belong to Services, by their names: what an earlier process left is found so. */
export const serviceChain = /^KUBE-(?:SVC|SVL|EXT|FW|SEP)-[A-Z2-7]{16}$/;
