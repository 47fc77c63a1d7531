import type { Catalog, Served } from "../resources/index.ts";
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
      .filter((other) => other.stored === own.stored && other !== own)
      .map((other): Equivalent => {
        const { group, version, plural, kind: otherKind } = other.resource;
        return {
          group,
          version,
          resource: plural,
          kind: otherKind,
          show: (object) => shownBy(other, storedBy(own, object)),
          take: (object) => shownBy(own, storedBy(other, object)),
        };
      });
  };
}

type Object = Parameters<Equivalent["show"]>[0];
const shownBy = ({ view }: Served, stored: Object): Object => (view ? view.show(stored) : stored);
const storedBy = ({ view }: Served, shown: Object): Object => (view ? view.store(shown) : shown);
