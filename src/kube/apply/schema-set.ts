import type { Atom } from "./atom.ts";
import {
  below,
  emptySet,
  hasElement,
  isEmpty,
  leaf,
  nodeOf,
  recursiveDifference,
  union,
  type FieldSet,
} from "./field-set.ts";
import type { PathElement } from "./path-element.ts";

/** The type below one element, as far as sets of fields go; undefined where the type has nothing there. */
function typeBelow(atom: Atom | undefined, element: PathElement): Atom | undefined {
  if (element.startsWith("f:")) return atom?.map?.of(element.slice(2));
  return atom?.list?.items();
}

const elementsOf = (set: FieldSet): PathElement[] => Object.keys(set).filter((key) => key !== ".");

/** The set with the fields of structs that are above its members: an object that has `a.b` has `a` too. Items of maps and lists are not added. */
export function withNamedFields(set: FieldSet, atom: Atom | undefined): FieldSet {
  const result: Record<PathElement, FieldSet> = {};
  for (const element of elementsOf(set)) {
    const children = withNamedFields(below(set, element), typeBelow(atom, element));
    const named = element.startsWith("f:") && Object.hasOwn(atom?.map?.fields ?? {}, element.slice(2));
    const node = nodeOf(hasElement(set, element) || named, children);
    if (node) result[element] = node;
  }
  return result;
}

/**
 * The set as it is under the present structure of its type: where a list or map has become atomic, its owner owns the whole of it.
 * The same set when nothing has changed.
 */
export function reconciled(set: FieldSet, atom: Atom): FieldSet {
  const found: { whole: FieldSet } = { whole: emptySet };
  collect(set, atom, false, [], found);
  if (isEmpty(found.whole)) return set;
  return union(recursiveDifference(set, found.whole), found.whole);
}

function collect(
  set: FieldSet,
  atom: Atom | undefined,
  isWhole: boolean,
  path: readonly PathElement[],
  found: { whole: FieldSet },
): void {
  if (!atom) return;
  const isAtomic = atom.map ? atom.map.atomic : !atom.scalar && atom.list?.relation === "atomic";
  if (atom.map?.deduced === true) return;
  if (isAtomic) {
    if (isWhole || path.length === 0 || isEmpty(set)) return;
    found.whole = union(
      found.whole,
      path.reduceRight<FieldSet>((node, element) => ({ [element]: node }), leaf),
    );
    return;
  }
  for (const element of elementsOf(set)) {
    const children = below(set, element);
    collect(
      children,
      typeBelow(atom, element),
      hasElement(set, element) && isEmpty(children),
      [...path, element],
      found,
    );
  }
}
