import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { isDns1123Subdomain } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";

/** How much of a class there is on some nodes. Which nodes and which class stays what it was. */
export const csiStorageCapacityStrategy = createStrategy(resources.CSIStorageCapacity, {
  *validate({ storageClassName, nodeTopology, capacity, maximumVolumeSize }, _context, old) {
    if (nodeTopology) yield* validateLabelSelector(nodeTopology, "nodeTopology");
    yield* invalids("storageClassName", storageClassName, isDns1123Subdomain(storageClassName));
    yield* validateAmount(capacity, "capacity");
    yield* validateAmount(maximumVolumeSize, "maximumVolumeSize");
    if (!old) return;
    yield* validateImmutable(nodeTopology, old.nodeTopology, "nodeTopology");
    yield* validateImmutable(storageClassName, old.storageClassName, "storageClassName");
  },
});

function* validateAmount(amount: string | undefined, path: string): Faults {
  if (amount !== undefined && compareQuantities(amount, "0") < 0)
    yield fault.invalid(path, amount, "must be greater than or equal to 0");
}
