import { createStrategy } from "../base-strategy.ts";
import type { TopologySelectorTerm } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { jsonEqual } from "../values/equal.ts";
import { isQualifiedName } from "../values/names.ts";

const maxParameters = 512;
const maxParameterBytes = 256 * 1024;

export const storageClassStrategy = createStrategy(resources.StorageClass, {
  defaults(storageClass) {
    storageClass.reclaimPolicy ??= "Delete";
    storageClass.volumeBindingMode ??= "Immediate";
  },
  *validate(given, _context, old) {
    const { provisioner, parameters, reclaimPolicy = "", volumeBindingMode = "" } = given;
    if (old) {
      const forbidden = (path: string) => fault.forbidden(path, `updates to ${path} are forbidden.`);
      if (!jsonEqual(parameters ?? {}, old.parameters ?? {})) yield forbidden("parameters");
      if (provisioner !== old.provisioner) yield forbidden("provisioner");
      if (reclaimPolicy !== old.reclaimPolicy) yield forbidden("reclaimPolicy");
      yield* validateImmutable(volumeBindingMode, old.volumeBindingMode, "volumeBindingMode");
      return;
    }
    yield* validateProvisioner(provisioner, "provisioner");
    yield* validateParameters(parameters, "parameters");
    if (reclaimPolicy !== "") yield* validateOneOf(reclaimPolicy, ["Delete", "Retain"], "reclaimPolicy");
    yield* validateOneOf(volumeBindingMode, ["Immediate", "WaitForFirstConsumer"], "volumeBindingMode");
    yield* validateTopologies(given.allowedTopologies ?? []);
  },
});

/** Faults of the name of a driver. */
export function* validateProvisioner(name: string, path: string): Faults {
  if (name === "") yield fault.required(path);
  else yield* invalids(path, name.toLowerCase(), isQualifiedName(name.toLowerCase()));
}

/** Faults of what is handed to a driver. */
export function* validateParameters(parameters: Readonly<Record<string, string>> = {}, path: string): Faults {
  const entries = Object.entries(parameters);
  if (entries.length > maxParameters) {
    yield fault.tooLong(path, maxParameters);
    return;
  }
  let size = 0;
  for (const [key, value] of entries) {
    if (key === "") yield fault.invalid(path, key, "field can not be empty.");
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > maxParameterBytes) yield fault.tooLong(path, maxParameterBytes);
}

function* validateTopologies(terms: readonly TopologySelectorTerm[]): Faults {
  for (const [i, { matchLabelExpressions = [] }] of terms.entries()) {
    const seen = new Set<string>();
    for (const [j, { key, values }] of matchLabelExpressions.entries()) {
      const path = `allowedTopologies[${i}].matchLabelExpressions[${j}]`;
      if (values.length === 0) yield fault.required(`${path}.values`);
      for (const [k, value] of values.entries())
        if (values.indexOf(value) < k) yield fault.duplicate(`${path}.values[${k}]`, value);
      yield* invalids(`${path}.key`, key, isQualifiedName(key));
      if (seen.has(key)) yield fault.duplicate(`${path}.key`, key);
      seen.add(key);
    }
  }
}
