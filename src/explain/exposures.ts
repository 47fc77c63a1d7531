import type { ClusterObjects, Exposure } from "./exposure.ts";
import { gatewayExposures } from "./gateway-exposures.ts";
import type { GatewayView } from "./gateway-faults.ts";
import { ingressExposures, type IngressOptions } from "./ingresses.ts";
import { serviceExposures, type ServiceOptions } from "./services.ts";

export interface ExposureOptions extends IngressOptions, ServiceOptions {
  /** Absent: the cluster has none. */
  readonly gateways?: GatewayView;
}

/** Services come first, then what leads to them. */
const order = (kind: Exposure["kind"]): number =>
  kind === "Service" ? 0 : kind === "Ingress" ? 1 : kind === "Gateway" ? 2 : 3;

/** Everything that is exposed, by namespace and name: where it answers, and for what does not the reason. Pure. */
export function exposures(objects: ClusterObjects, options: ExposureOptions): Exposure[] {
  const { gateways } = options;
  const rows = [
    ...serviceExposures(objects, options),
    ...ingressExposures(objects, options),
    ...(gateways ? gatewayExposures(gateways) : []),
  ];
  const place = ({ namespace, kind, name }: Exposure) => `${namespace}\0${order(kind)}\0${name}`;
  return rows.toSorted((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}
