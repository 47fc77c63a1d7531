/**
 * How the packet mark is used while one packet passes the program; it is given back before the packet goes on.
 *
 *     31        masquerade
 *     30..28    kind of frontend; `chosen` once an endpoint is being chosen
 *     27..11    number of the Service port
 *     10        which of its pools: 0 cluster, 1 local
 *      9..0     number of an endpoint in the pool, used with affinity
 */
export const masquerade = 0x8000_0000;
export const kindMask = 0x7000_0000;
export const poolMask = 0x0fff_fc00;
export const localPool = 0x0000_0400;
export const endpointMask = 0x0000_03ff;
export const chosen = 0x7000_0000;

export const kinds = {
  /** A cluster IP. */
  internal: 0x1000_0000,
  /** NodePort, external or load-balancer address with traffic policy Cluster. */
  external: 0x2000_0000,
  /** The same with traffic policy Local. */
  externalLocal: 0x3000_0000,
  /** Load-balancer addresses with source ranges. */
  guardedExternal: 0x4000_0000,
  guardedLocal: 0x5000_0000,
} as const;

/** The bit that tells postrouting to mask the source; the one Kubernetes has always used for that. */
export const masqueradeBit = 0x4000;

export const largestPort = 0x1_ffff;
export const largestEndpoint = endpointMask;

/** Mark of a pool of the Service port with this number. */
export function poolMark(port: number, local: boolean): number {
  return port * 0x800 + (local ? localPool : 0);
}

export function hex(mark: number): string {
  return `0x${(mark >>> 0).toString(16).padStart(8, "0")}`;
}
