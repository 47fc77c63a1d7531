import { definitionOf, definitions, type Definition } from "../../kube/index.ts";
import { bodyOf, type Body } from "../storage/index.ts";
import { catalog, type CatalogGroup } from "./catalog.ts";
import { describe } from "./descriptions.ts";
import { pathsOf } from "./openapi-paths.ts";
import { hashOf } from "./paths.ts";

/** An OpenAPI v3 document of one group and version. */
export interface OpenApiDocument {
  readonly body: Body;
  readonly etag: string;
}

const documents = new Map<string, OpenApiDocument>();

/** The document of `api/v1` or `apis/GROUP/VERSION`, made when first asked for. */
export function openApiDocument(path: string): OpenApiDocument | undefined {
  const known = documents.get(path);
  if (known) return known;
  const group = catalog.find((one) => documentPath(one) === path);
  if (!group) return undefined;
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
  const document = { body, etag: `"${hashOf(body).toUpperCase()}"` };
  documents.set(path, document);
  return document;
}

let index: Body | undefined;

/** `/openapi/v3`: where the documents are. The hash in each URL changes when the document does. */
export function openApiIndex(): Body {
  index ??= bodyOf({
    paths: Object.fromEntries(
      catalog.map((group) => {
        const path = documentPath(group);
        const hash = (openApiDocument(path)?.etag ?? "").replaceAll('"', "");
        return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }];
      }),
    ),
  });
  return index;
}

function documentPath({ group, version }: CatalogGroup): string {
  return group ? `apis/${group}/${version}` : `api/${version}`;
}

/** The schemas of all kinds of a group and of everything that they refer to. */
function schemasOf({ entries }: CatalogGroup): Record<string, object> {
  const names = new Set<string>();
  const visit = (name: string): void => {
    if (names.has(name)) return;
    names.add(name);
    for (const reference of references(definitions[name] ?? {})) visit(reference);
  };
  const kinds = entries.flatMap(({ kind, subresources }) => [
    kind,
    { ...kind, kind: `${kind.kind}List` },
    ...subresources.map((part) => part.kind),
  ]);
  for (const kind of kinds) {
    const { name } = definitionOf(kind) ?? {};
    if (name) visit(name);
  }
  for (const kind of ["Status", "DeleteOptions", "WatchEvent"]) visit(`${meta}.${kind}`);
  return Object.fromEntries(
    [...names].sort().map((name) => [name, choices[name] ?? schemaOf(name, definitions[name] ?? {})]),
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
  const { $ref, items, additionalProperties, properties, ...rest } = definition;
  const description = describe(owner, field);
  const own = {
    ...(description ? { description } : {}),
    ...rest,
    ...(items ? { items: schemaOf(owner, items, "") } : {}),
    ...(additionalProperties ? { additionalProperties: schemaOf(owner, additionalProperties, "") } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, property]) => [name, schemaOf(owner, property, name)]),
          ),
        }
      : {}),
  };
  if ($ref === undefined) return own;
  const reference = { $ref: `#/components/schemas/${nameOf($ref)}` };
  return Object.keys(own).length === 0 ? reference : { ...own, allOf: [reference] };
}
