import type { ResourceRequirements } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { isQualifiedName } from "../values/names.ts";
import { compareQuantities, parseQuantity } from "../values/quantity.ts";

const containerResource = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/;
const standardResource =
  /^(storage|pods|services|secrets|configmaps|persistentvolumeclaims|resourcequotas|replicationcontrollers)$/;
const whole = 1_000_000_000n;

const isHugePages = (name: string) => name.startsWith("hugepages-");
const isNative = (name: string) => !name.includes("/") || name.includes("kubernetes.io/");
/** Of these a node may promise more than it has. */
const mayOvercommit = (name: string) => isNative(name) && !isHugePages(name);

/** Faults of what a container asks for and may use. */
export function* validateResources({ limits = {}, requests = {} }: ResourceRequirements, path: string): Faults {
  for (const [name, amount] of Object.entries(limits)) yield* validateAmount(name, amount, `${path}.limits[${name}]`);
  for (const [name, amount] of Object.entries(requests)) {
    yield* validateAmount(name, amount, `${path}.requests[${name}]`);
    const limit = limits[name];
    if (limit === undefined) {
      if (!mayOvercommit(name)) {
        yield fault.required(`${path}.limits`, "Limit must be set for non overcommitable resources");
      }
      continue;
    }
    const order = compareQuantities(amount, limit);
    if (order !== 0 && !mayOvercommit(name)) {
      yield fault.invalid(`${path}.requests`, amount, `must be equal to ${name} limit of ${limit}`);
    } else if (order > 0) {
      yield fault.invalid(`${path}.requests`, amount, `must be less than or equal to ${name} limit of ${limit}`);
    }
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.includes("cpu") && !names.includes("memory")) {
    yield fault.forbidden(path, "HugePages require cpu or memory");
  }
}

function* validateAmount(name: string, amount: string, path: string): Faults {
  yield* validateName(name, path);
  if (compareQuantities(amount, "0") < 0) yield fault.invalid(path, amount, "must be greater than or equal to 0");
  if (!isNative(name) && parseQuantity(amount).nano % whole !== 0n) {
    yield fault.invalid(path, amount, "must be an integer");
  }
}

function* validateName(name: string, path: string): Faults {
  const messages = isQualifiedName(name);
  yield* invalids(path, name, messages);
  if (messages.length > 0) return;
  if (name.includes("/")) {
    if (!isNative(name) && (name.startsWith("requests.") || isQualifiedName(`requests.${name}`).length > 0)) {
      yield fault.invalid(path, name, "doesn't follow extended resource name standard");
    }
    return;
  }
  if (containerResource.test(name)) return;
  if (!standardResource.test(name)) {
    yield fault.invalid(path, name, "must be a standard resource type or fully qualified");
  }
  yield fault.invalid(path, name, "must be a standard resource for containers");
}
