import type { Endpoint, EndpointSlice } from "../../kube/index.ts";

/**
 * Where Gateways are served: by all endpoints of the Service that leads to these processes, in their conditions. `own` are the addresses of this one;
 * a Service without any of them leads to others (a proxy before this process), and says nothing of who serves: `undefined`.
 */
export function replicasOf(own: readonly string[], slices: readonly EndpointSlice[]): readonly Endpoint[] | undefined {
  const all = slices.flatMap(({ endpoints }) => endpoints ?? []);
  if (!all.some(({ addresses }) => addresses.some((address) => own.includes(address)))) return undefined;
  return all
    .map(({ addresses, conditions, nodeName, zone }) => ({
      addresses,
      ...(conditions ? { conditions } : {}),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(zone === undefined ? {} : { zone }),
    }))
    .sort((a, b) => ((a.addresses[0] ?? "") < (b.addresses[0] ?? "") ? -1 : 1));
}

/** This process alone. */
export const alone = (own: readonly string[]): readonly Endpoint[] =>
  own.map((address) => ({ addresses: [address], conditions: { ready: true } }));

/** What of endpoints leads traffic, to be compared: an absent condition means what its default does (KEP-1672). */
export function meaningOf(endpoints: readonly Endpoint[] | undefined): unknown {
  return (endpoints ?? []).map(({ addresses, conditions, nodeName, zone }) => {
    const ready = conditions?.ready ?? true;
    return [addresses, ready, conditions?.serving ?? ready, conditions?.terminating ?? false, nodeName, zone];
  });
}
