import { own, resources, type Pod, type PriorityClass } from "../../kube/index.ts";
import { forbidden, type Admission, type AdmissionRequest } from "../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";

const kind = resources.PriorityClass;
const preempts = "PreemptLowerPriority";

/** Classes that every cluster has, whether or not they are stored. */
const systemClasses: Readonly<Record<string, number>> = {
  "system-cluster-critical": 2_000_000_000,
  "system-node-critical": 2_000_001_000,
};

interface Chosen {
  readonly name: string;
  readonly value: number;
  readonly preemptionPolicy: string;
}

/** Gives a new Pod the priority of its class, or of the default class (KEP-268). A number that says otherwise is refused. */
export function priority(storage: Storage): Admission {
  const classes = (): PriorityClass[] =>
    storage
      .of(kind)
      .under(prefixFor(kind))
      .map((entry) => entry.object as PriorityClass);

  const named = (name: string): Chosen | undefined => {
    const entry = storage.of(kind).get(keyFor(kind, { name }));
    if (entry) {
      const found = entry.object as PriorityClass;
      return { name, value: found.value ?? 0, preemptionPolicy: found.preemptionPolicy ?? preempts };
    }
    const value = own(systemClasses, name);
    return value === undefined ? undefined : { name, value, preemptionPolicy: preempts };
  };

  /** Of several default classes the lowest. */
  const byDefault = (): Chosen => {
    const [lowest] = classes()
      .filter(({ globalDefault }) => globalDefault === true)
      .sort((a, b) => (a.value ?? 0) - (b.value ?? 0));
    if (!lowest) return { name: "", value: 0, preemptionPolicy: preempts };
    return {
      name: lowest.metadata.name,
      value: lowest.value ?? 0,
      preemptionPolicy: lowest.preemptionPolicy ?? preempts,
    };
  };

  return ({ operation, context, object, name }: AdmissionRequest) => {
    if (operation !== "CREATE" || context.resource !== resources.Pod || context.subresource !== "" || !object) return;
    const { spec } = object as Pod;
    if (!spec) return;
    const refuse = (why: string): never => {
      throw forbidden(resources.Pod, name, why);
    };
    const chosen =
      (spec.priorityClassName ? named(spec.priorityClassName) : byDefault()) ??
      refuse(`no PriorityClass with name ${spec.priorityClassName} was found`);
    if (spec.priority !== undefined && spec.priority !== chosen.value)
      refuse(
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${chosen.value} from the given PriorityClass name`,
      );
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== chosen.preemptionPolicy)
      refuse(
        `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${chosen.preemptionPolicy} from the given PriorityClass name`,
      );
    if (chosen.name) spec.priorityClassName = chosen.name;
    spec.priority = chosen.value;
    spec.preemptionPolicy = chosen.preemptionPolicy;
  };
}

/** There is at most one default class. A validating step. */
export function oneDefaultPriority(storage: Storage): Admission {
  return ({ operation, context, object }) => {
    if (context.resource !== kind || !object || (operation !== "CREATE" && operation !== "UPDATE")) return;
    const { metadata, globalDefault } = object as PriorityClass;
    if (globalDefault !== true) return;
    for (const entry of storage.of(kind).under(prefixFor(kind))) {
      const other = entry.object as PriorityClass;
      if (other.globalDefault === true && other.metadata.name !== metadata.name)
        throw forbidden(
          kind,
          metadata.name,
          `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
        );
    }
  };
}
