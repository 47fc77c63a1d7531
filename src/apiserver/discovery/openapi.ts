import { definitionNamed, definitionOf, own, type Definition, type GroupVersionKind } from "../../kube/index.ts";
import { bodyOf, type Body } from "../storage/index.ts";
import { describe } from "./descriptions.ts";
import type { CatalogGroup, Groups } from "./groups.ts";
import { listSchema } from "./list-schema.ts";
import { pathsOf } from "./openapi-paths.ts";
import { partsOf } from "./parts.ts";
import { hashOf } from "./paths.ts";

/** An OpenAPI v3 document of one group and version. */
export interface OpenApiDocument {
  readonly body: Body;
  readonly etag: string;
}

/** The documents of all groups. */
export interface OpenApiV3 {
  /** The document of `api/v1` or `apis/GROUP/VERSION`, made when first asked for. */
  document(path: string): OpenApiDocument | undefined;
  /** `/openapi/v3`: where the documents are. The hash in each URL changes when the document does. */
  index(): Body;
}

/** Documents are kept until what they tell of has changed: a new kind costs the document of its own group. */
export function createOpenApiV3(groups: Groups): OpenApiV3 {
  const known = new Map<string, { readonly of: CatalogGroup; readonly document: OpenApiDocument }>();
  let index: { readonly version: string; readonly body: Body } | undefined;

  const documentOf = (group: CatalogGroup): OpenApiDocument => {
    const path = documentPath(group);
    const last = known.get(path);
    if (last && tellsTheSame(last.of, group)) return last.document;
    const made = makeDocument(group);
    known.set(path, { of: group, document: made });
    return made;
  };
  return {
    document(path) {
      const group = groups.all().find((one) => documentPath(one) === path);
      return group && documentOf(group);
    },
    index() {
      if (index?.version === groups.version) return index.body;
      const all = groups.all();
      const paths = new Set(all.map(documentPath));
      for (const path of known.keys()) if (!paths.has(path)) known.delete(path);
      const body = bodyOf({
        paths: Object.fromEntries(
          all.map((group) => {
            const path = documentPath(group);
            const hash = documentOf(group).etag.replaceAll('"', "");
            return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }];
          }),
        ),
      });
      index = { version: groups.version, body };
      return body;
    },
  };
}

/** A kind that changes comes with another schema: what is the same function tells the same. */
function tellsTheSame(a: CatalogGroup, b: CatalogGroup): boolean {
  return a.entries.length === b.entries.length && a.entries.every((entry, i) => entry.source === b.entries[i]?.source);
}

function makeDocument(group: CatalogGroup): OpenApiDocument {
  const bytes = Buffer.from(
    JSON.stringify({
      openapi: "3.0.0",
      info: { title: "Kubernetes", version: "v1.35.0" },
      paths: pathsOf(group),
      components: { schemas: schemasOf(group) },
    }),
  );
  // Kept as bytes alone: as an object it would be several times as large.
  const body: Body = {
    get object() {
      return JSON.parse(bytes.toString()) as object;
    },
    bytes: () => [bytes],
  };
  return { body, etag: `"${hashOf(body).toUpperCase()}"` };
}

function documentPath({ group, version }: CatalogGroup): string {
  return group ? `apis/${group}/${version}` : `api/${version}`;
}

/** The schemas of all kinds of a group and of everything that they refer to. */
function schemasOf({ entries }: CatalogGroup): Record<string, object> {
  const found = new Map<string, Definition>();
  const visit = (name: string, definition = definitionNamed(name) ?? {}): void => {
    if (found.has(name)) return;
    found.set(name, definition);
    for (const reference of references(definition)) visit(reference);
  };
  for (const entry of entries) {
    for (const { name, definition } of [entry.schema(), listSchema(entry)].filter((one) => one !== undefined))
      if (name) visit(name, definition);
    for (const { kind } of entry.subresources) visitKind(kind);
  }
  function visitKind(kind: GroupVersionKind): void {
    const { name } = definitionOf(kind) ?? {};
    if (name) visit(name);
  }
  for (const kind of ["Status", "DeleteOptions", "WatchEvent"]) visit(`${meta}.${kind}`);
  return Object.fromEntries(
    [...found.keys()].sort().map((name) => [name, own(choices, name) ?? schemaOf(name, found.get(name) ?? {})]),
  );
}

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1";

function* references(definition: Definition): Generator<string> {
  if (definition.$ref) yield nameOf(definition.$ref);
  if (definition.items) yield* references(definition.items);
  if (definition.additionalProperties) yield* references(definition.additionalProperties);
  for (const property of Object.values(definition.properties ?? {})) yield* references(property);
}

const nameOf = (reference: string): string => reference.slice("#/definitions/".length);

/** Types that are more than one in JSON; OpenAPI v2 had no way to say so. */
const choices: Readonly<Record<string, object>> = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
    format: "int-or-string",
    oneOf: [{ type: "integer" }, { type: "string" }],
  },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { oneOf: [{ type: "string" }, { type: "number" }] },
};

/** A definition as OpenAPI v3 writes it: a reference stands alone, so what goes beside it needs `allOf`. */
function schemaOf(owner: string, definition: Definition, field?: string): object {
  const { $ref, items: _items, additionalProperties: _values, properties: _properties, ...rest } = definition;
  const description = definition.description ?? describe(owner, field);
  const own = {
    ...(description ? { description } : {}),
    ...rest,
    ...partsOf(definition, (part, name) => schemaOf(owner, part, name)),
  };
  if ($ref === undefined) return own;
  const reference = { $ref: `#/components/schemas/${nameOf($ref)}` };
  return Object.keys(own).length === 0 ? reference : { ...own, allOf: [reference] };
}
