import { definitionNamed, definitionNames, isObject, type Definition } from "../../kube/index.ts";
import { messageField, textField, type Encoded } from "../protobuf/writer.ts";
import type { Body } from "../storage/index.ts";
import { describe } from "./descriptions.ts";
import type { CatalogGroup, Groups, RemoteGroups } from "./groups.ts";
import { listSchema } from "./list-schema.ts";
import { mergeV2 } from "./merge-v2.ts";
import { pathsOfV2 } from "./openapi-v2-paths.ts";
import type { OpenApiDocument } from "./openapi.ts";
import { partsOf } from "./parts.ts";
import { hashOf } from "./paths.ts";
import { toV2 } from "./to-v2.ts";

/** The only form in which client-go asks for OpenAPI v2: gnostic's `openapi.v2.Document`. */
export const openApiV2Asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/** What it is called in the answer: a media type may not hold an `@`. */
export const openApiV2Given = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const info = { title: "Kubernetes", version: "v1.35.0" };

/**
 * `/openapi/v2`: paths and types of this server and of those behind APIServices. The form in protobuf has no paths: its readers take them from
 * v3. kubectl asks for it to check objects of kinds that v3 does not name. Made when first asked for after a change.
 */
export function createOpenApiV2(groups: Groups, remote: RemoteGroups): (asProtobuf: boolean) => OpenApiDocument {
  let version: string | undefined;
  const made = new Map<boolean, OpenApiDocument>();
  return (asProtobuf) => {
    const now = `${groups.version} ${remote.version}`;
    if (version !== now) made.clear();
    version = now;
    let document = made.get(asProtobuf);
    if (!document) {
      const bytes = asProtobuf ? documentBytes(groups, remote) : documentJson(groups, remote);
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

function documentJson(groups: Groups, remote: RemoteGroups): Buffer {
  const all = groups.all();
  const paths = Object.assign({}, ...all.map(pathsOfV2)) as Record<string, object>;
  const definitions = Object.fromEntries(
    Object.entries(definitionsOf(all)).map(([name, definition]) => [name, described(name, definition)]),
  );
  const merged = mergeV2({ paths, definitions }, remote.documents());
  return Buffer.from(JSON.stringify({ swagger: "2.0", info, ...merged }));
}

/** A definition with what the program says of it and its fields. */
function described(owner: string, definition: Definition, field?: string): Definition {
  const description = definition.description ?? describe(owner, field);
  return {
    ...(description === undefined ? {} : { description }),
    ...definition,
    ...partsOf(definition, (part, name) => described(owner, part, name)),
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

function documentBytes(groups: Groups, remote: RemoteGroups): Buffer {
  const { definitions } = mergeV2({ paths: {}, definitions: definitionsOf(groups.all()) }, remote.documents());
  const schemas = Object.entries(definitions).map(([name, definition]) =>
    messageField(1, namedSchema(name, schema(name, wellFormed(definition)))),
  );
  return Buffer.concat([
    textField(1, "2.0"),
    messageField(2, textField(1, info.title), textField(2, info.version)),
    messageField(8),
    messageField(9, ...schemas),
  ]);
}

const isText = (value: unknown): value is string => typeof value === "string";

/** What can be said in a message of a definition that another server wrote: whatever has not the type that it should have is left out. */
function wellFormed(value: unknown, depth = 0): Definition {
  if (!isObject(value) || depth > 64) return {};
  const inner = (one: unknown): Definition => wellFormed(one, depth + 1);
  const { $ref, format, description, type, required, items, additionalProperties, properties, ...rest } = value;
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => name.startsWith("x-"))),
    ...(isText($ref) ? { $ref } : {}),
    ...(isText(format) ? { format } : {}),
    ...(isText(description) ? { description } : {}),
    ...(isText(type) ? { type: type as NonNullable<Definition["type"]> } : {}),
    ...(Array.isArray(required) ? { required: required.filter(isText) } : {}),
    ...(isObject(items) ? { items: inner(items) } : {}),
    ...(isObject(additionalProperties) ? { additionalProperties: inner(additionalProperties) } : {}),
    ...(isObject(properties)
      ? { properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, inner(one)])) }
      : {}),
  };
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
