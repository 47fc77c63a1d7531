import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";
import { validateImmutable, validateNonNegative } from "../validation/metadata.ts";

/** A past state of a StatefulSet's or DaemonSet's template: it is written once. */
export const controllerRevisionStrategy = createStrategy(resources.ControllerRevision, {
  *validate({ data, revision }, _context, old) {
    yield* validateNonNegative(revision, "revision");
    if (old) yield* validateImmutable(data, old.data, "data");
    else if (!data) yield fault.required("data", "data is mandatory");
  },
});
