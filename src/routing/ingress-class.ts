import type { Ingress, IngressClass } from "../kube/index.ts";
import { refOf } from "./owner.ts";
import type { Problem } from "./problem.ts";

const defaultAnnotation = "ingressclass.kubernetes.io/is-default-class";
const legacyAnnotation = "kubernetes.io/ingress.class";

/** `ours` false: another controller's, or nobody's; then `problem` says so when the class does not exist. */
export interface ClassVerdict {
  readonly ours: boolean;
  /** Its class follows ingress-nginx. */
  readonly nginx?: boolean;
  readonly problem?: Problem;
}

/**
 * Classes of `nginxControllers` are ours too, and mean what they mean to ingress-nginx.
 *
 * Decides which Ingresses belong to `controller`: by `spec.ingressClassName`, else by the annotation that came before
 * it, else to the default class. Of several default classes the newest counts, as in the DefaultIngressClass admission.
 */
export function classSelector(
  classes: readonly IngressClass[],
  controller: string,
  nginxControllers: readonly string[] = [],
): (ingress: Ingress) => ClassVerdict {
  const byName = new Map(classes.map((each) => [each.metadata.name, each]));
  const verdict = (each: IngressClass | undefined): ClassVerdict => {
    const nginx = each !== undefined && nginxControllers.includes(each.spec.controller ?? "");
    return nginx ? { ours: true, nginx } : { ours: each !== undefined && each.spec.controller === controller };
  };
  const defaultClass = classes
    .filter((each) => each.metadata.annotations?.[defaultAnnotation] === "true")
    .sort(newest)[0];
  return (ingress) => {
    const name = ingress.spec.ingressClassName;
    if (name !== undefined) {
      const found = byName.get(name);
      return found ? verdict(found) : { ours: false, problem: missing(ingress, name, [...byName.keys()].sort()) };
    }
    const legacy = ingress.metadata.annotations?.[legacyAnnotation];
    if (legacy !== undefined && legacy !== "") return verdict(byName.get(legacy));
    return verdict(defaultClass);
  };
}

function newest(a: IngressClass, b: IngressClass): number {
  const [left, right] = [a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? ""];
  if (left !== right) return left > right ? -1 : 1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

function missing(ingress: Ingress, name: string, known: readonly string[]): Problem {
  return {
    object: refOf(ingress),
    field: "spec.ingressClassName",
    reason: "IngressClassNotFound",
    message: `there is no IngressClass ${JSON.stringify(name)}, so no controller serves this Ingress`,
    remedy: known.length > 0 ? `name one of: ${known.join(", ")}` : "create the IngressClass",
  };
}
