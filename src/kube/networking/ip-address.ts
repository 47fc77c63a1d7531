import { createStrategy } from "../base-strategy.ts";
import type { ParentReference } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { canonicalIp } from "../values/ip.ts";
import { isDns1123Subdomain, isPathSegment } from "../values/names.ts";

/** Which Service an address of the cluster belongs to: the name of the object is the address. */
export const ipAddressStrategy = createStrategy(resources.IPAddress, {
  name: (name) => {
    if (canonicalIp(name) === undefined) return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"];
    const canonical = canonicalIp(name) ?? "";
    return canonical === name ? [] : [`must be in canonical form (${JSON.stringify(canonical)})`];
  },
  *validate({ spec }, _context, old) {
    if (old) {
      yield* validateImmutable(shownParent(spec.parentRef), shownParent(old.spec.parentRef), "spec.parentRef");
      return;
    }
    const { parentRef } = spec as Partial<typeof spec>;
    if (parentRef) yield* validateParent(parentRef, "spec.parentRef");
    else yield fault.required("spec.parentRef");
  },
  selectableFields: ({ spec }) => {
    const { group = "", resource = "", namespace = "", name = "" } = (spec as Partial<typeof spec>)?.parentRef ?? {};
    return {
      "spec.parentRef.group": group,
      "spec.parentRef.resource": resource,
      "spec.parentRef.namespace": namespace,
      "spec.parentRef.name": name,
    };
  },
});

/** With Go's own names, which upstream shows here. */
const shownParent = (parent: Partial<ParentReference> | undefined): object | null =>
  parent
    ? {
        Group: parent.group ?? "",
        Resource: parent.resource ?? "",
        Namespace: parent.namespace ?? "",
        Name: parent.name ?? "",
      }
    : null;

function* validateParent({ group, resource, name, namespace }: ParentReference, path: string): Faults {
  if (group) yield* invalids(`${path}.group`, group, isDns1123Subdomain(group));
  for (const [field, value] of Object.entries({ resource, name })) {
    if (!value) yield fault.required(`${path}.${field}`);
    else yield* invalids(`${path}.${field}`, value, isPathSegment(value));
  }
  if (namespace) yield* invalids(`${path}.namespace`, namespace, isPathSegment(namespace));
}
