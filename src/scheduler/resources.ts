import { type Container, milliValue, type Node, type Pod, type Quantity, unitValue } from "../kube/index.ts";

/** Amounts by resource name: `cpu` in thousandths of a core, all others in whole units (bytes of memory). */
export type Amounts = ReadonlyMap<string, number>;

const known = new WeakMap<object, Amounts>();

/**
 * What a pod needs of a node: the sum over its containers, or what its init containers need at any one time, whichever is
 * more; init containers that keep running (sidecars, KEP-753) count with both. Overhead is added.
 */
export function requestsOf(pod: Pod): Amounts {
  const found = known.get(pod.spec);
  if (found) return found;
  const { containers, initContainers = [], overhead } = pod.spec;
  const total = new Map<string, number>();
  for (const container of containers) add(total, requested(container));
  const sidecars = new Map<string, number>();
  const starting = new Map<string, number>();
  for (const container of initContainers) {
    const wanted = requested(container);
    if (container.restartPolicy === "Always") {
      add(sidecars, wanted);
      raise(starting, sidecars);
    } else {
      const together = new Map(sidecars);
      add(together, wanted);
      raise(starting, together);
    }
  }
  add(total, sidecars);
  raise(total, starting);
  if (overhead) add(total, amountsOf(overhead));
  known.set(pod.spec, total);
  return total;
}

/** What a node has for pods. */
export function allocatableOf(node: Node): Amounts {
  return amountsOf(node.status?.allocatable ?? node.status?.capacity ?? {});
}

const requested = ({ resources }: Container): Amounts => amountsOf({ ...resources?.limits, ...resources?.requests });

function amountsOf(quantities: Readonly<Record<string, Quantity>>): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const [name, text] of Object.entries(quantities)) {
    amounts.set(name, name === "cpu" ? milliValue(text) : unitValue(text));
  }
  return amounts;
}

/** Adds in place. */
export function add(total: Map<string, number>, amounts: Amounts, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) total.set(name, (total.get(name) ?? 0) + sign * amount);
}

function raise(total: Map<string, number>, amounts: Amounts): void {
  for (const [name, amount] of amounts) total.set(name, Math.max(total.get(name) ?? 0, amount));
}
