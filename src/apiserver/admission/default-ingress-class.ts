import { resources, type Ingress, type IngressClass } from "../../kube/index.ts";
import type { Admission } from "../registry/index.ts";
import { prefixFor, type Storage } from "../storage/index.ts";

const isDefault = "ingressclass.kubernetes.io/is-default-class";
/** How Ingresses named their class before the field. */
const oldClass = "kubernetes.io/ingress.class";

/** An Ingress that names no class gets the one marked as default; of several the newest, then the first by name. */
export function defaultIngressClass(storage: Storage): Admission {
  return ({ operation, context, object }) => {
    if (operation !== "CREATE" || context.resource !== resources.Ingress || !object) return;
    const ingress = object as Ingress;
    if (ingress.spec?.ingressClassName !== undefined || ingress.metadata.annotations?.[oldClass] !== undefined) return;
    const [chosen] = storage
      .of(resources.IngressClass)
      .under(prefixFor(resources.IngressClass))
      .map((entry) => entry.object as IngressClass)
      .filter(({ metadata }) => metadata.annotations?.[isDefault] === "true")
      .sort((a, b) => created(b).localeCompare(created(a)) || a.metadata.name.localeCompare(b.metadata.name));
    if (chosen) ingress.spec = { ...ingress.spec, ingressClassName: chosen.metadata.name };
  };
}

const created = ({ metadata }: IngressClass): string => metadata.creationTimestamp ?? "";
