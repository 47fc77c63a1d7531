import type { ClusterObjects, Exposure } from "./exposure.ts";
import { ingressExposures, type IngressOptions } from "./ingresses.ts";
import { serviceExposures, type ServiceOptions } from "./services.ts";

export type ExposureOptions = IngressOptions & ServiceOptions;

/** Everything that is exposed, by namespace and name: where it answers, and for what does not the reason. Pure. */
export function exposures(objects: ClusterObjects, options: ExposureOptions): Exposure[] {
  const rows = [...serviceExposures(objects, options), ...ingressExposures(objects, options)];
  const place = ({ namespace, kind, name }: Exposure) => `${namespace}\0${kind === "Service" ? 0 : 1}\0${name}`;
  return rows.toSorted((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}
