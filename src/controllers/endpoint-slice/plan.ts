import { type DiscoveryEndpointPort, type Endpoint, type EndpointSlice, semanticEqual } from "../../kube/index.ts";

/** Endpoints that have the same ports. */
export interface EndpointGroup {
  readonly ports: readonly DiscoveryEndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

/** What a slice holds beside its endpoints and ports. */
export interface SliceFrame {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface SlicePlan {
  readonly create: readonly EndpointGroup[];
  readonly update: readonly EndpointSlice[];
  readonly remove: readonly EndpointSlice[];
}

/**
 * The smallest change that makes `slices` (all of one family) hold exactly `groups`: endpoints stay where they are, gaps in
 * slices that change anyway are filled first, then one slice that has room for all that is left, then new ones. Slices of a
 * port set that is gone are used again for a new one. There is always at least one slice, so that watchers know the Service.
 */
export function planSlices(
  slices: readonly EndpointSlice[],
  groups: readonly EndpointGroup[],
  frame: SliceFrame,
  limit: number,
): SlicePlan {
  const byPorts = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const key = portsKey(slice.ports ?? []);
    byPorts.set(key, [...(byPorts.get(key) ?? []), slice]);
  }
  const create: EndpointGroup[] = [];
  const update: EndpointSlice[] = [];
  const remove: EndpointSlice[] = [];
  for (const group of groups) {
    const key = portsKey(group.ports);
    const plan = planGroup(byPorts.get(key) ?? [], group, frame, limit);
    byPorts.delete(key);
    create.push(...plan.create);
    update.push(...plan.update);
    remove.push(...plan.remove);
  }
  remove.push(...[...byPorts.values()].flat());

  if (remove.length === slices.length && create.length === 0) create.push({ ports: [], endpoints: [] });
  // Rewriting a slice is one change for those who watch, deleting and creating are two.
  while (remove.length > 0 && create.length > 0) {
    const [slice, group] = [remove.pop(), create.pop()];
    if (!slice || !group) break;
    const next = { ...framed(slice, frame), ports: [...group.ports], endpoints: [...group.endpoints] };
    if (!semanticEqual(next, slice)) update.push(next);
  }
  return { create, update, remove };
}

function planGroup(
  slices: readonly EndpointSlice[],
  group: EndpointGroup,
  frame: SliceFrame,
  limit: number,
): SlicePlan {
  const wanted = new Map(group.endpoints.map((endpoint) => [identityOf(endpoint), endpoint]));
  const states = slices.map((slice) => {
    const endpoints: Endpoint[] = [];
    for (const endpoint of slice.endpoints ?? []) {
      const id = identityOf(endpoint);
      const found = wanted.get(id);
      if (found) endpoints.push(semanticEqual(found, endpoint) ? endpoint : found);
      wanted.delete(id);
    }
    const next = { ...framed(slice, frame), endpoints };
    return { slice, endpoints, next, changed: !semanticEqual(next, slice) };
  });

  const left = [...wanted.values()];
  for (const state of states) {
    if (state.changed && state.endpoints.length > 0)
      state.endpoints.push(...left.splice(0, limit - state.endpoints.length));
  }
  if (left.length > 0) {
    const roomy = states
      .filter(({ endpoints }) => endpoints.length + left.length <= limit)
      .sort((a, b) => b.endpoints.length - a.endpoints.length)[0];
    if (roomy) {
      roomy.endpoints.push(...left.splice(0));
      roomy.changed = true;
    }
  }
  const create: EndpointGroup[] = [];
  while (left.length > 0) create.push({ ports: group.ports, endpoints: left.splice(0, limit) });
  return {
    create,
    update: states.filter(({ changed, endpoints }) => changed && endpoints.length > 0).map(({ next }) => next),
    remove: states.filter(({ endpoints }) => endpoints.length === 0).map(({ slice }) => slice),
  };
}

function framed(slice: EndpointSlice, { labels, annotations }: SliceFrame): EndpointSlice {
  // When a change came about is told with the change, and is none itself.
  const kept = slice.metadata.annotations?.[triggerAnnotation];
  const all = { ...annotations, ...(kept ? { [triggerAnnotation]: kept } : {}) };
  return { ...slice, metadata: { ...slice.metadata, labels: { ...labels }, annotations: all } };
}

/** When the change that led to this version of the endpoints was made. */
export const triggerAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";

export const identityOf = ({ targetRef, addresses }: Endpoint): string =>
  `${targetRef?.uid ?? ""} ${addresses.join(" ")}`;

/** The same for the same ports, in whatever order. */
export function portsKey(ports: readonly DiscoveryEndpointPort[]): string {
  const texts = ports.map(({ name = "", port, protocol = "TCP", appProtocol = "" }) =>
    [name, port ?? "", protocol, appProtocol].join("\0"),
  );
  return texts.sort().join("\n");
}

/** Endpoints by what ports they have. */
export function groupByPorts(
  endpoints: readonly { readonly endpoint: Endpoint; readonly ports: readonly DiscoveryEndpointPort[] }[],
): EndpointGroup[] {
  const groups = new Map<string, { ports: readonly DiscoveryEndpointPort[]; endpoints: Endpoint[] }>();
  for (const { endpoint, ports } of endpoints) {
    const key = portsKey(ports);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { ports, endpoints: [] }));
    group.endpoints.push(endpoint);
  }
  return [...groups.values()];
}
