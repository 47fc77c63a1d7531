import type { ReferenceGrant } from "./types.ts";

export interface Reference {
  readonly from: { readonly group: string; readonly kind: string; readonly namespace: string };
  readonly to: { readonly group: string; readonly kind: string; readonly namespace: string; readonly name: string };
}

/** True for a reference that needs no grant, or that one in the namespace it leads to allows (ReferenceGrant). */
export type Permits = (reference: Reference) => boolean;

export function permitsOf(grants: readonly ReferenceGrant[]): Permits {
  const byNamespace = new Map<string, ReferenceGrant[]>();
  for (const grant of grants) {
    const namespace = grant.metadata.namespace ?? "";
    const list = byNamespace.get(namespace);
    if (list) list.push(grant);
    else byNamespace.set(namespace, [grant]);
  }
  return ({ from, to }) =>
    from.namespace === to.namespace ||
    (byNamespace.get(to.namespace) ?? []).some(
      ({ spec }) =>
        spec.from.some(
          (each) => each.group === from.group && each.kind === from.kind && each.namespace === from.namespace,
        ) &&
        spec.to.some((each) => each.group === to.group && each.kind === to.kind && (each.name ?? to.name) === to.name),
    );
}
