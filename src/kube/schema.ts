import type { Definition } from "./definition.ts";
import { definedKinds, definitionLines } from "./generated/definitions.ts";

/** What names a kind: a Resource is one. */
export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** A definition with its OpenAPI name; the name is absent for a type written in place. */
export interface NamedDefinition {
  readonly name?: string;
  readonly definition: Definition;
}

const prefix = "#/definitions/";
const byKind = new Map(definedKinds.map((kind) => [`${kind.group}/${kind.version}/${kind.kind}`, kind.definition]));

/** The definition as JSON, until it is asked for. */
const known = new Map<string, string | Definition>(
  definitionLines.map((line) => {
    const end = line.indexOf(" ");
    return [line.slice(0, end), line.slice(end + 1)];
  }),
);

/** OpenAPI names of all definitions that are built in. */
export const definitionNames = (): string[] => [...known.keys()];

/** A definition that is built in, by its OpenAPI name. */
export function definitionNamed(name: string): Definition | undefined {
  const found = known.get(name);
  if (typeof found !== "string") return found;
  const definition = JSON.parse(found) as Definition;
  known.set(name, definition);
  return definition;
}

/** The structure of a kind; undefined for a kind that is not known. */
export function definitionOf({ group, version, kind }: GroupVersionKind): NamedDefinition | undefined {
  const name = byKind.get(`${group}/${version}/${kind}`);
  const definition = name === undefined ? undefined : definitionNamed(name);
  return name !== undefined && definition ? { name, definition } : undefined;
}

const resolved = new WeakMap<Definition, NamedDefinition>();

/** Follows a `$ref`, if the definition is one. */
export function resolve(definition: Definition): NamedDefinition {
  let target = resolved.get(definition);
  if (!target) {
    target = follow(definition);
    resolved.set(definition, target);
  }
  return target;
}

function follow(definition: Definition): NamedDefinition {
  if (definition.$ref === undefined) return { definition };
  const name = definition.$ref.slice(prefix.length);
  const target = definitionNamed(name);
  if (!target) throw new Error(`no definition ${name}`);
  return { name, definition: target };
}

/** The Go type behind a definition, as error messages show it: `int32`, `[]v1.ServicePort`, `map[string]string`. */
export function goTypeOf(definition: Definition): string {
  if (definition.$ref !== undefined) return definition.$ref.split(".").slice(-2).join(".");
  if (definition.type === "array") return `[]${goTypeOf(definition.items ?? {})}`;
  if (definition.type === "object") return `map[string]${goTypeOf(definition.additionalProperties ?? {})}`;
  if (definition.type === "boolean") return "bool";
  if (definition.type === "integer") return definition.format ?? "int";
  if (definition.type === "number") return "float64";
  if (definition.format === "byte") return "[]uint8";
  return "string";
}

/** The Go name of a struct, without its package. */
export const goStructName = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
