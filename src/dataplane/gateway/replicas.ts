import type { Endpoint, EndpointSlice } from "../../kube/index.ts";

/**
 * Where Gateways are served: by all endpoints of the Service that leads to these processes, in their conditions, or by this process alone. `own` are
 * its addresses; a Service without one of them leads to others (a proxy before this process), and says nothing of who serves.
 */
export function replicasOf(own: readonly string[], slices: readonly EndpointSlice[]): readonly Endpoint[] {
  const all = slices.flatMap(({ endpoints }) => endpoints ?? []);
  if (!all.some(({ addresses }) => addresses.some((address) => own.includes(address))))
    return own.map((address) => ({ addresses: [address], conditions: { ready: true } }));
  return all
    .map(({ addresses, conditions, nodeName, zone }) => ({
      addresses,
      ...(conditions ? { conditions } : {}),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(zone === undefined ? {} : { zone }),
    }))
    .sort((a, b) => ((a.addresses[0] ?? "") < (b.addresses[0] ?? "") ? -1 : 1));
}

/** What of endpoints leads traffic, to be compared: an absent condition means what its default does (KEP-1672). */
export function meaningOf(endpoints: readonly Endpoint[] | undefined): unknown {
  return (endpoints ?? []).map(({ addresses, conditions, nodeName, zone }) => {
    const ready = conditions?.ready ?? true;
    return [addresses, ready, conditions?.serving ?? ready, conditions?.terminating ?? false, nodeName, zone];
  });
}
