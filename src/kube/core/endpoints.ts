import { createStrategy } from "../base-strategy.ts";
import type { EndpointAddress, EndpointPort, EndpointSubset } from "../generated/types.ts";
import { resources } from "../resource.ts";
import type { StrategyContext } from "../strategy.ts";
import { validateIp, validateNonSpecialIp } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateProtocol } from "../validation/ports.ts";
import { isDns1123Label, isDns1123Subdomain, isPortNumber, isQualifiedName } from "../values/names.ts";

export const endpointsStrategy = createStrategy(resources.Endpoints, {
  allowCreateOnUpdate: true,
  defaults(endpoints) {
    for (const port of (endpoints.subsets ?? []).flatMap((subset) => subset.ports ?? [])) port.protocol ||= "TCP";
  },
  *validate(endpoints, context) {
    for (const [i, subset] of (endpoints.subsets ?? []).entries())
      yield* validateSubset(subset, context, `subsets[${i}]`);
  },
});

function* validateSubset(subset: EndpointSubset, context: StrategyContext, path: string): Faults {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
  if (addresses.length === 0 && notReadyAddresses.length === 0) {
    yield fault.required(path, "must specify `addresses` or `notReadyAddresses`");
  }
  for (const [field, list] of Object.entries({ addresses, notReadyAddresses })) {
    for (const [i, address] of list.entries()) yield* validateAddress(address, context, `${path}.${field}[${i}]`);
  }
  for (const [i, port] of ports.entries()) yield* validatePort(port, ports.length > 1, `${path}.ports[${i}]`);
}

function* validateAddress({ ip, hostname, nodeName }: EndpointAddress, context: StrategyContext, path: string): Faults {
  const faults = [...validateIp(ip ?? "", `${path}.ip`)];
  yield* faults;
  if (hostname) yield* invalids(`${path}.hostname`, hostname, isDns1123Label(hostname));
  if (nodeName !== undefined) yield* invalids(`${path}.nodeName`, nodeName, isDns1123Subdomain(nodeName));
  if (faults.length === 0) yield* validateNonSpecialIp(ip, `${path}.ip`, context.allowLoopback);
}

function* validatePort(
  { name = "", port, protocol, appProtocol }: EndpointPort,
  needsName: boolean,
  path: string,
): Faults {
  if (name !== "") yield* invalids(`${path}.name`, name, isDns1123Label(name));
  else if (needsName) yield fault.required(`${path}.name`);
  yield* invalids(`${path}.port`, port ?? 0, isPortNumber(port ?? 0));
  yield* validateProtocol(protocol, `${path}.protocol`);
  if (appProtocol !== undefined) yield* invalids(`${path}.appProtocol`, appProtocol, isQualifiedName(appProtocol));
}
