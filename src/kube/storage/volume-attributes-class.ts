import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";
import { jsonEqual } from "../values/equal.ts";
import { validateParameters, validateProvisioner } from "./storage-class.ts";

export const volumeAttributesClassStrategy = createStrategy(resources.VolumeAttributesClass, {
  *validate({ driverName, parameters = {} }, _context, old) {
    if (old) {
      if (driverName !== old.driverName) yield fault.forbidden("driverName", "updates to driverName are forbidden.");
      if (!jsonEqual(parameters, old.parameters ?? {}))
        yield fault.forbidden("parameters", "updates to parameters are forbidden.");
    }
    yield* validateProvisioner(driverName, "driverName");
    yield* validateParameters(parameters, "parameters");
    if (Object.keys(parameters).length === 0)
      yield fault.required("parameters", "must contain at least one key/value pair");
  },
});
