import { createStrategy } from "../base-strategy.ts";
import type { DiscoveryEndpointPort, Endpoint, EndpointSlice } from "../generated/types.ts";
import { resources } from "../resource.ts";
import type { StrategyContext } from "../strategy.ts";
import { validateCanonicalIp, validateNonSpecialIp } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable, validateLabels } from "../validation/metadata.ts";
import { validateChoice, validateProtocol } from "../validation/ports.ts";
import { semanticEqual } from "../values/equal.ts";
import { parseIp } from "../values/ip.ts";
import { isDns1123Label, isDns1123Subdomain, isLabelValue, isPortNumber, isQualifiedName } from "../values/names.ts";

const addressTypes = ["FQDN", "IPv4", "IPv6"];
const max = { endpoints: 1000, ports: 20_000, addresses: 100, hints: 8 };

export const endpointSliceStrategy = createStrategy(resources.EndpointSlice, {
  generationOf: ({ addressType, endpoints, ports, metadata }) => [addressType, endpoints, ports, metadata.labels],
  allowCreateOnUpdate: false,
  defaults(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= "";
      port.protocol ||= "TCP";
    }
  },
  *validate(slice, context, old) {
    const { addressType } = slice;
    yield* validateChoice(addressType, addressTypes, "addressType");
    yield* validatePorts(slice.ports ?? []);
    // What was valid when it was written stays valid.
    if (!old || !semanticEqual(slice.endpoints, old.endpoints)) yield* validateEndpoints(slice, context);
    if (old) yield* validateImmutable(addressType, old.addressType, "addressType");
  },
});

function* validateEndpoints({ endpoints = [], addressType }: EndpointSlice, context: StrategyContext): Faults {
  if (endpoints.length > max.endpoints) {
    yield fault.tooMany("endpoints", endpoints.length, max.endpoints);
    return;
  }
  for (const [i, endpoint] of endpoints.entries()) {
    const path = `endpoints[${i}]`;
    const addresses = endpoint.addresses ?? [];
    if (addresses.length === 0) yield fault.required(`${path}.addresses`, "must contain at least 1 address");
    else if (addresses.length > max.addresses)
      yield fault.tooMany(`${path}.addresses`, addresses.length, max.addresses);
    for (const [j, address] of addresses.entries()) {
      yield* validateAddress(address, addressType, context, `${path}.addresses`, j);
    }
    yield* validateDetails(endpoint, path);
  }
}

function* validateAddress(
  address: string,
  type: string,
  context: StrategyContext,
  list: string,
  index: number,
): Faults {
  const path = `${list}[${index}]`;
  if (type === "FQDN") {
    const name = address.replace(/\.$/, "");
    const messages = isDns1123Subdomain(name);
    if (address === "") yield fault.required(path);
    else if (messages.length > 0) yield fault.invalid(path, name, messages.join(","));
    else if (!name.includes(".")) {
      yield fault.invalid(path, name, "should be a domain with at least two segments separated by dots");
    }
    return;
  }
  const faults = [...validateCanonicalIp(address, path)];
  yield* faults;
  if (faults.length > 0) return;
  if (parseIp(address)?.family !== type && addressTypes.includes(type)) {
    // Upstream names the list here.
    yield fault.invalid(list, address, type === "IPv4" ? "must be an IPv4 address" : "must be an IPv6 address");
  }
  yield* validateNonSpecialIp(address, path, context.allowLoopback);
}

function* validateDetails(endpoint: Endpoint, path: string): Faults {
  const { nodeName, deprecatedTopology, hostname, hints } = endpoint;
  if (nodeName !== undefined) yield* invalids(`${path}.nodeName`, nodeName, isDns1123Subdomain(nodeName));
  yield* validateLabels(deprecatedTopology, `${path}.deprecatedTopology`);
  if (hostname !== undefined) yield* invalids(`${path}.hostname`, hostname, isDns1123Label(hostname));
  yield* validateHints(hints?.forZones ?? [], isLabelValue, `${path}.hints.forZones`);
  yield* validateHints(hints?.forNodes ?? [], isDns1123Subdomain, `${path}.hints.forNodes`);
}

function* validateHints(
  hints: readonly { name: string }[],
  check: (name: string) => readonly string[],
  path: string,
): Faults {
  if (hints.length > max.hints) {
    yield fault.tooMany(path, hints.length, max.hints);
    return;
  }
  const seen = new Set<string>();
  for (const [i, { name }] of hints.entries()) {
    if (seen.has(name)) yield fault.duplicate(`${path}[${i}].name`, name);
    seen.add(name);
    yield* invalids(`${path}[${i}].name`, name, check(name));
  }
}

function* validatePorts(ports: readonly DiscoveryEndpointPort[]): Faults {
  if (ports.length > max.ports) {
    yield fault.tooMany("ports", ports.length, max.ports);
    return;
  }
  const names = new Set<string>();
  for (const [i, { name = "", protocol, port, appProtocol }] of ports.entries()) {
    const path = `ports[${i}]`;
    if (name !== "") yield* invalids(`${path}.name`, name, isDns1123Label(name));
    if (names.has(name)) yield fault.duplicate(`${path}.name`, name);
    names.add(name);
    yield* validateProtocol(protocol, `${path}.protocol`);
    // An absent port means every port.
    if (port !== undefined) yield* invalids(`${path}.port`, port, isPortNumber(port));
    if (appProtocol !== undefined) yield* invalids(`${path}.appProtocol`, appProtocol, isQualifiedName(appProtocol));
  }
}
