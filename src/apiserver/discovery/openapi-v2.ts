import { definitionNamed, definitionNames, type Definition } from "../../kube/index.ts";
import { messageField, textField, type Encoded } from "../protobuf/writer.ts";
import type { Body } from "../storage/index.ts";
import { describe } from "./descriptions.ts";
import type { CatalogGroup, Groups } from "./groups.ts";
import { listSchema } from "./list-schema.ts";
import type { OpenApiDocument } from "./openapi.ts";
import { hashOf } from "./paths.ts";
import { toV2 } from "./to-v2.ts";

/** The only form in which client-go asks for OpenAPI v2: gnostic's `openapi.v2.Document`. */
export const openApiV2Asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/** What it is called in the answer: a media type may not hold an `@`. */
export const openApiV2Given = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const info = { title: "Kubernetes", version: "v1.35.0" };

/**
 * `/openapi/v2`: the types, without the paths, which clients read from v3. kubectl asks for it to check objects of kinds that v3 does
 * not name. Made when first asked for after a change.
 */
export function createOpenApiV2(groups: Groups): (asProtobuf: boolean) => OpenApiDocument {
  let version: string | undefined;
  const made = new Map<boolean, OpenApiDocument>();
  return (asProtobuf) => {
    if (version !== groups.version) made.clear();
    version = groups.version;
    let document = made.get(asProtobuf);
    if (!document) {
      const all = definitionsOf(groups.all());
      const bytes = asProtobuf
        ? documentBytes(all)
        : Buffer.from(JSON.stringify({ swagger: "2.0", info, paths: {}, definitions: all }));
      // Kept as bytes alone: as an object it would be several times as large.
      const body: Body = {
        get object() {
          return asProtobuf ? {} : (JSON.parse(bytes.toString()) as object);
        },
        bytes: () => [bytes],
      };
      document = { body, etag: `"${hashOf(body).toUpperCase()}"` };
      made.set(asProtobuf, document);
    }
    return document;
  };
}

/** The types of the program itself, and those that came later. */
function definitionsOf(groups: readonly CatalogGroup[]): Readonly<Record<string, Definition>> {
  const all: Record<string, Definition> = Object.fromEntries(
    definitionNames().map((name) => [name, definitionNamed(name) ?? {}]),
  );
  for (const entry of groups.flatMap(({ entries }) => entries)) {
    for (const one of [entry.schema(), listSchema(entry)]) {
      if (one?.name !== undefined) all[one.name] ??= toV2(one.definition);
    }
  }
  return all;
}

// Field numbers are those of gnostic's openapiv2/OpenAPIv2.proto.

function documentBytes(all: Readonly<Record<string, Definition>>): Buffer {
  const schemas = Object.entries(all).map(([name, definition]) =>
    messageField(1, namedSchema(name, schema(name, definition))),
  );
  return Buffer.concat([
    textField(1, "2.0"),
    messageField(2, textField(1, info.title), textField(2, info.version)),
    messageField(8),
    messageField(9, ...schemas),
  ]);
}

function namedSchema(name: string, value: Encoded): Encoded {
  return Buffer.concat([textField(1, name), messageField(2, value)]);
}

function schema(owner: string, definition: Definition, field?: string): Encoded {
  const { $ref, format, type, required = [], items, additionalProperties, properties } = definition;
  const description = definition.description ?? describe(owner, field);
  const parts: Encoded[] = [];
  if ($ref !== undefined) parts.push(textField(1, $ref));
  if (format !== undefined) parts.push(textField(2, format));
  if (description !== undefined) parts.push(textField(4, description));
  for (const name of required) parts.push(textField(19, name));
  if (additionalProperties) parts.push(messageField(21, messageField(1, schema(owner, additionalProperties, ""))));
  if (type !== undefined) parts.push(messageField(22, textField(1, type)));
  if (items) parts.push(messageField(23, messageField(1, schema(owner, items, ""))));
  if (properties) {
    const named = Object.entries(properties).map(([name, property]) =>
      messageField(1, namedSchema(name, schema(owner, property, name))),
    );
    parts.push(messageField(25, ...named));
  }
  for (const [name, value] of Object.entries(definition)) {
    // Extensions travel as YAML, which JSON is.
    if (name.startsWith("x-"))
      parts.push(messageField(31, textField(1, name), messageField(2, textField(2, JSON.stringify(value)))));
  }
  return Buffer.concat(parts);
}
