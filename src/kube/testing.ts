import { decode } from "./decode/decode.ts";
import { describeFault } from "./field-error.ts";
import type { KubeObject } from "./object.ts";
import type { Resource } from "./resource.ts";
import { strategyFor } from "./strategies.ts";
import type { StrategyContext } from "./strategy.ts";
import { cloneJson } from "./values/equal.ts";

const now = { now: "2030-01-01T00:00:00Z" };

/** What came of a write: the object as it would be stored, and the faults as text. */
export interface Written {
  readonly object: KubeObject;
  readonly faults: readonly string[];
}

/** For tests: creates an object as the API server does, named `x` in namespace `default` unless it says otherwise. */
export function create(resource: Resource, value: object, context: Partial<StrategyContext> = {}): Written {
  const { object } = decode<KubeObject>(resource, value);
  object.metadata = { ...(resource.namespaced ? { namespace: "default" } : {}), ...object.metadata };
  object.metadata.name ??= "x";
  const strategy = strategyFor(resource);
  strategy.prepareForCreate(object, { ...now, ...context });
  const faults = strategy.validateCreate(object, { ...now, ...context });
  return { object, faults: faults.map(describeFault) };
}

/** For tests: changes an object as the API server does. */
export function update(
  resource: Resource,
  old: KubeObject,
  change: (object: never) => void,
  context: Partial<StrategyContext> = {},
): Written {
  const draft = cloneJson(old);
  change(draft as never);
  const { object } = decode<KubeObject>(resource, draft);
  const strategy = strategyFor(resource);
  strategy.defaults(object);
  strategy.prepareForUpdate(object, old, { ...now, ...context });
  const faults = strategy.validateUpdate(object, old, { ...now, ...context });
  return { object, faults: faults.map(describeFault) };
}
