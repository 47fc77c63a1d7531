import type { Appliance } from "./appliance.ts";
import type { As3 } from "./as3.ts";
import { applicationName, applicationOf, applicationsIn, tenantOf } from "./declaration.ts";

/** A BIG-IP by AS3: one tenant a cluster, one application a Service. */
export function createApplications(as3: As3): Appliance {
  return {
    async services(cluster, signal) {
      const tenant = await as3.tenant(tenantOf(cluster), signal);
      return tenant && applicationsIn(tenant).filter(({ key }) => key.cluster === cluster);
    },
    shapeOf: applicationOf,
    put(exposure, address, there, signal) {
      const { key } = exposure;
      const [tenant, name, value] = [tenantOf(key.cluster), applicationName(key), applicationOf(exposure, address)];
      if (there) return as3.patch(tenant, name, value, signal);
      return as3.declare(tenant, { class: "Tenant", [name]: value }, signal);
    },
    remove(key, there, signal) {
      const tenant = tenantOf(key.cluster);
      // AS3 keeps no tenant without an application.
      if (there.length === 1) return as3.removeTenant(tenant, signal);
      return as3.patch(tenant, applicationName(key), undefined, signal);
    },
  };
}
