import type { KubeObject } from "../../kube/index.ts";
import type { Catalog, Served } from "../resources/index.ts";
import { Entry, storedBytes } from "../storage/index.ts";
import type { Equivalent, FindEquivalents } from "./subject.ts";

/** Other versions under which the catalog serves what a request is about. Parts with a kind of their own have none. */
export function catalogEquivalents(catalog: Catalog): FindEquivalents {
  return ({ context, kind }) => {
    const { resource, shown } = context;
    const named = shown?.resource ?? resource;
    const own = catalog.find(named.group, named.version, named.plural);
    if (!own || own.resource.kind !== kind.kind) return [];
    return catalog
      .all()
      .filter((other) => other !== own && isSameKind(other.stored, own.stored))
      .map((other): Equivalent => {
        const { group, version, plural, kind: otherKind } = other.resource;
        return {
          group,
          version,
          resource: plural,
          kind: otherKind,
          show: (object) => convert(own, other, object),
          take: (object) => convert(other, own, object),
        };
      });
  };
}

const isSameKind = (a: Served["stored"], b: Served["stored"]): boolean => a.group === b.group && a.plural === b.plural;

/** An object of one version as one of another, by way of the version in which it is stored. */
async function convert(from: Served, to: Served, object: KubeObject): Promise<KubeObject> {
  if (from.conversion && to.conversion) {
    const saved = await from.conversion.save(object);
    // What is loaded is shared; who asks for another form may change it.
    return structuredClone(await to.conversion.load(new Entry("", 0, storedBytes(from.conversion.stored, saved))));
  }
  const stored = from.view ? from.view.store(object) : object;
  return to.view ? to.view.show(stored) : stored;
}
