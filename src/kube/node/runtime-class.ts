import { createStrategy } from "../base-strategy.ts";
import { validateResources } from "../core/resource-validation.ts";
import { resources } from "../resource.ts";
import { invalids } from "../validation/fault.ts";
import { validateImmutable, validateLabels } from "../validation/metadata.ts";
import { isDns1123Label } from "../values/names.ts";

export const runtimeClassStrategy = createStrategy(resources.RuntimeClass, {
  allowUnconditionalUpdate: false,
  allowCreateOnUpdate: true,
  *validate({ handler, overhead, scheduling }, _context, old) {
    if (old) {
      yield* validateImmutable(handler, old.handler, "handler");
      return;
    }
    yield* invalids("handler", handler, isDns1123Label(handler));
    if (overhead) yield* validateResources({ limits: overhead.podFixed ?? {} }, "overhead");
    if (scheduling?.nodeSelector) yield* validateLabels(scheduling.nodeSelector, "scheduling.nodeSelector");
  },
});
