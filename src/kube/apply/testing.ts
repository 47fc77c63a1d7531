import { decode } from "../decode/decode.ts";
import type { KubeObject } from "../object.ts";
import { apiVersionOf, type Resource } from "../resource.ts";
import { definitionOf } from "../schema.ts";
import { strategyFor } from "../strategies.ts";
import { cloneJson } from "../values/equal.ts";
import { applyConfiguration } from "./apply.ts";
import { objectAtom } from "./atom.ts";
import { trackUpdate, type ManagedKind } from "./field-manager.ts";
import { resetFieldsOf } from "./reset-fields.ts";

/** For tests: a built-in kind in its one version. */
export function managedKind(resource: Resource, subresource = ""): ManagedKind {
  const { definition } = definitionOf(resource) ?? {};
  return {
    kind: resource.kind,
    version: { apiVersion: apiVersionOf(resource), atom: objectAtom(definition), convert: (object) => object },
    subresource,
    reset: resetFieldsOf({ ...resource, custom: false }, subresource),
    empty: decode(resource, {}).object,
    changeable: false,
    versionOf: () => undefined,
  };
}

/** For tests: an object of a kind with its defaults, as a request brings it. */
export function objectOf(resource: Resource, value: object): KubeObject {
  const { object } = decode(resource, value);
  strategyFor(resource).defaults(object);
  return object;
}

export const noon = "2030-01-01T12:00:00Z";

/** For tests: a create, or an update of `old`, by `manager`. */
export function written(
  resource: Resource,
  manager: string,
  value: object,
  { old, now = noon, subresource = "" }: { old?: KubeObject; now?: string; subresource?: string } = {},
): KubeObject {
  const object = objectOf(resource, value);
  const done = trackUpdate(managedKind(resource, subresource), { manager, now }, object, old);
  if (done) throw new Error("a kind of one version needs no conversion");
  return object;
}

/** For tests: an apply by `manager` over `live`, with defaults. */
export async function applied(
  resource: Resource,
  manager: string,
  config: object,
  { live, force = false, now = noon }: { live?: KubeObject; force?: boolean; now?: string } = {},
): Promise<KubeObject> {
  const header = { apiVersion: apiVersionOf(resource), kind: resource.kind };
  const application = { config: cloneJson({ ...header, ...config }), manager, force, now };
  return objectOf(resource, await applyConfiguration(managedKind(resource), live, application));
}

/** For tests: who manages what, by manager, as lists of paths. */
export function managersOf(object: KubeObject): Record<string, unknown> {
  const entries = object.metadata.managedFields ?? [];
  return Object.fromEntries(
    entries.map(({ manager = "", operation = "", subresource, fieldsV1 }) => [
      [manager, operation, ...(subresource ? [subresource] : [])].join(" "),
      fieldsV1,
    ]),
  );
}
