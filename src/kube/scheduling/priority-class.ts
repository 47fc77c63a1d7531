import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateChoice } from "../validation/ports.ts";

/** Values above this one are the system's own. */
const highestOfUsers = 1_000_000_000;

/** Classes that every cluster has. */
export const systemPriorityClasses: Readonly<Record<string, { readonly value: number; readonly description: string }>> =
  {
    "system-node-critical": {
      value: 2_000_001_000,
      description: "Used for system critical pods that must not be moved from their current node.",
    },
    "system-cluster-critical": {
      value: 2_000_000_000,
      description:
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    },
  };

export const priorityClassStrategy = createStrategy(resources.PriorityClass, {
  generationOf: () => undefined,
  defaults: (priority) => {
    priority.preemptionPolicy ??= "PreemptLowerPriority";
  },
  *validate({ metadata, value = 0, globalDefault = false, preemptionPolicy }, _context, old) {
    if (old) {
      if (value !== (old.value ?? 0)) yield fault.forbidden("value", "may not be changed in an update.");
      yield* validateImmutable(preemptionPolicy, old.preemptionPolicy, "preemptionPolicy");
      return;
    }
    const { name = "" } = metadata as Partial<typeof metadata>;
    if (name.startsWith("system-")) {
      const known = systemPriorityClasses[name];
      const error = !known
        ? `${name} is not a known system priority class`
        : known.value !== value
          ? `value of ${name} PriorityClass must be ${known.value}`
          : globalDefault
            ? `globalDefault of ${name} PriorityClass must be false`
            : undefined;
      const text = "priority class names with 'system-' prefix are reserved for system use only. error: ";
      if (error !== undefined) yield fault.forbidden("metadata.name", text + error);
    } else if (value > highestOfUsers)
      yield fault.forbidden("value", `maximum allowed value of a user defined priority is ${highestOfUsers}`);
    yield* validateChoice(preemptionPolicy, ["PreemptLowerPriority", "Never"], "preemptionPolicy");
  },
});
