import { createStrategy } from "../base-strategy.ts";
import type { CSINodeDriver } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { semanticEqual } from "../values/equal.ts";
import { isQualifiedName } from "../values/names.ts";
import { validateDriverName } from "./csi-driver.ts";

const longestNodeId = 192;

/** Which storage drivers a node has. A driver that is listed stays as it is, but for how many volumes it can take (KEP-4876). */
export const csiNodeStrategy = createStrategy(resources.CSINode, {
  allowUnconditionalUpdate: false,
  *validate({ spec }, _context, old) {
    const { drivers } = spec;
    const names = new Set<string>();
    for (const [i, driver] of drivers.entries()) {
      yield* validateDriver(driver, names, `spec.drivers[${i}]`);
      names.add(driver.name);
    }
    if (!old) return;
    for (const before of old.spec.drivers) {
      const { allocatable: _free, ...fixed } = before;
      for (const driver of drivers) {
        const { allocatable: _given, ...rest } = driver;
        if (driver.name === before.name && !semanticEqual(rest, fixed))
          yield fault.invalid("CSINodeDriver", shown(driver), "field is immutable");
      }
    }
  },
});

/** Upstream shows its internal names. */
function shown({ name, nodeID, topologyKeys, allocatable }: CSINodeDriver): object {
  const amount = allocatable ? { Count: allocatable.count ?? null } : null;
  return { Name: name, NodeID: nodeID, TopologyKeys: topologyKeys?.length ? topologyKeys : null, Allocatable: amount };
}

function* validateDriver(driver: CSINodeDriver, names: ReadonlySet<string>, path: string): Faults {
  const { name, nodeID, topologyKeys = [], allocatable } = driver;
  yield* validateDriverName(name, `${path}.name`);
  if (nodeID === "") yield fault.required(`${path}.nodeID`);
  else if (Buffer.byteLength(nodeID) > longestNodeId)
    yield fault.invalid(`${path}.nodeID`, nodeID, `must be ${longestNodeId} characters or less`);
  yield* validateNonNegative(allocatable?.count, `${path}.allocatable.count`);
  if (names.has(name)) yield fault.duplicate(`${path}.name`, name);
  for (const [i, key] of topologyKeys.entries()) {
    if (key === "") yield fault.required(path);
    if (topologyKeys.indexOf(key) < i) yield fault.duplicate(path, key);
    yield* invalids(path, topologyKeys, isQualifiedName(key));
  }
}
