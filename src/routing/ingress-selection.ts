import type { Ingress, IngressClass } from "../kube/index.ts";
import { classSelector, type ClassVerdict } from "./ingress-class.ts";
import { createOldestFirst } from "./owner.ts";
import type { Problem } from "./problem.ts";

export interface SelectionInput {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  /** `spec.controller` of the classes that are ours. */
  readonly controllerName: string;
  /** The same of those that mean what they mean to ingress-nginx. */
  readonly nginx?: { readonly controllers: readonly string[] };
}

/** Which Ingresses are served, one list after the other: it costs a look at each, and work for what is another one. */
export type IngressSelection = (input: SelectionInput) => {
  /** Oldest first. The same list while the Ingresses are the same. */
  readonly served: readonly Ingress[];
  /** Those of them that mean what they mean to ingress-nginx. */
  readonly nginx: readonly Ingress[];
  readonly problems: readonly Problem[];
};

export function createIngressSelection(): IngressSelection {
  const inOrder = createOldestFirst<Ingress>();
  let judged: readonly unknown[] = [];
  let verdicts = new WeakMap<Ingress, ClassVerdict>();
  return ({ ingresses, classes, controllerName, nginx }) => {
    const judging = [controllerName, ...(nginx?.controllers ?? []), ...classes];
    if (judging.length !== judged.length || judging.some((each, index) => each !== judged[index]))
      verdicts = new WeakMap();
    judged = judging;
    const select = classSelector(classes, controllerName, nginx?.controllers);
    const problems: Problem[] = [];
    const ours: Ingress[] = [];
    const compatible = new Set<Ingress>();
    for (const ingress of ingresses) {
      let verdict = verdicts.get(ingress);
      if (!verdict) verdicts.set(ingress, (verdict = select(ingress)));
      if (verdict.problem) problems.push(verdict.problem);
      if (verdict.ours) ours.push(ingress);
      if (verdict.nginx) compatible.add(ingress);
    }
    const served = inOrder(ours);
    return { served, nginx: compatible.size === 0 ? [] : served.filter((each) => compatible.has(each)), problems };
  };
}
