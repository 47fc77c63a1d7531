import type { Informer } from "../client/index.ts";
import { keyOf, type KubeObject } from "../kube/index.ts";

/** The objects of an informer as they are to be translated. */
export interface Meanings<T extends KubeObject> {
  list(): readonly T[];
}

/**
 * Each object of an informer in the first form that means what it means now: who remembers by object what was made of one need not
 * make it again when only a status was written. The informer has the objects as they are.
 */
export function keepMeanings<T extends KubeObject>(
  informer: Informer<T>,
  meansTheSame: (a: T, b: T) => boolean,
): Meanings<T> {
  const kept = new Map<string, T>();
  informer.onChange(({ before, after }) => {
    if (after) {
      const known = kept.get(keyOf(after));
      if (!known || !meansTheSame(known, after)) kept.set(keyOf(after), after);
    } else if (before) kept.delete(keyOf(before));
  });
  return { list: () => [...kept.values()] };
}
