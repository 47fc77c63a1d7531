import { keyOf } from "../../../kube/index.ts";
import { nearest } from "../../error.ts";
import { type Check, some } from "../check.ts";

/** An Ingress that nobody serves: without a class, or with one that does not exist. */
export const ingressClass: Check = {
  code: "ingress-class",
  about: "an Ingress without a class, or of one that does not exist",
  reads: "Ingresses, IngressClasses",
  *run({ cluster, routing }) {
    const { ingresses, classes } = cluster.objects;
    const names = classes.map(({ metadata }) => metadata.name);
    for (const ingress of ingresses) {
      if (routing.served.includes(ingress)) continue;
      const name = ingress.spec.ingressClassName ?? ingress.metadata.annotations?.["kubernetes.io/ingress.class"];
      const found = classes.find(({ metadata }) => metadata.name === name);
      // Another controller's: that one says what is wrong with it.
      if (found) continue;
      const object = `Ingress ${keyOf(ingress)}`;
      const meant = name === undefined ? [] : nearest(name, names);
      yield {
        severity: "error",
        object,
        field: "spec.ingressClassName",
        problem:
          name === undefined
            ? "it names no class, and no IngressClass is the default: no controller serves it"
            : `there is no IngressClass ${JSON.stringify(name)}: no controller serves it`,
        evidence: [names.length > 0 ? `IngressClasses: ${some(names)}` : "there is no IngressClass"],
        remedy: meant[0]
          ? `did you mean ${meant[0]}`
          : names[0]
            ? `set spec.ingressClassName: ${names[0]}`
            : "create an IngressClass",
      };
    }
  },
};
