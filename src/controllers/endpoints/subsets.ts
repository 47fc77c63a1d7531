import type { EndpointAddress, EndpointPort, EndpointSubset, Pod, Service } from "../../kube/index.ts";
import { addressOf, addressTypesOf, hostnameOf, isHeadless, portsOf } from "../endpoint-slice/endpoints.ts";
import { isReady, isTerminal } from "../pods.ts";

/** Addresses in one Endpoints object. */
const limit = 1000;

/**
 * The subsets of a Service's Endpoints: pods with the same ports together, ready ones apart from those that aren't. Pods that
 * leave are in none, unless the Service publishes what is not ready. `truncated`: there were more than fit.
 */
export function subsetsOf(service: Service, pods: readonly Pod[]): { subsets: EndpointSubset[]; truncated: boolean } {
  const publishAll = service.spec?.publishNotReadyAddresses === true;
  const [type = "IPv4"] = addressTypesOf(service);
  const groups = new Map<string, { ports: EndpointPort[]; ready: EndpointAddress[]; notReady: EndpointAddress[] }>();
  for (const pod of pods) {
    const address = addressOf(pod, type);
    if (!address || isTerminal(pod) || (pod.metadata.deletionTimestamp && !publishAll)) continue;
    const ports = portsOf(service, pod).map(corePort);
    if (ports.length === 0 && !(isHeadless(service) && !service.spec?.ports?.length)) continue;
    const key = JSON.stringify(ports);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { ports, ready: [], notReady: [] }));
    (publishAll || isReady(pod) ? group.ready : group.notReady).push(endpointAddress(service, pod, address));
  }
  const total = [...groups.values()].reduce((sum, { ready, notReady }) => sum + ready.length + notReady.length, 0);
  let room = limit;
  const take = (addresses: EndpointAddress[]): EndpointAddress[] => {
    const taken = addresses.slice(0, room);
    room -= taken.length;
    return taken;
  };
  // What is ready has the first call on the room there is.
  const ready = new Map([...groups].map(([key, group]) => [key, take(group.ready)]));
  const subsets = [...groups].sort(byKey).map(([key, group]) => {
    const addresses = ready.get(key) ?? [];
    const notReadyAddresses = take(group.notReady);
    return {
      ...(addresses.length > 0 ? { addresses } : {}),
      ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
      ...(group.ports.length > 0 ? { ports: group.ports } : {}),
    };
  });
  return {
    subsets: subsets.filter((subset) => subset.addresses ?? subset.notReadyAddresses),
    truncated: total > limit,
  };
}

/** In core/v1 a port without a name has no name field. */
const corePort = ({
  name,
  port = 0,
  protocol = "TCP",
  appProtocol,
}: ReturnType<typeof portsOf>[number]): EndpointPort => ({
  ...(name ? { name } : {}),
  port,
  protocol,
  ...(appProtocol ? { appProtocol } : {}),
});

function endpointAddress(service: Service, pod: Pod, ip: string): EndpointAddress {
  const { namespace = "", name, uid = "" } = pod.metadata;
  const hostname = hostnameOf(service, pod);
  return {
    ip,
    ...(hostname ? { hostname } : {}),
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: { kind: "Pod", namespace, name, uid },
  };
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);
