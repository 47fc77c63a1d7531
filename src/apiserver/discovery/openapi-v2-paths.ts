import { isObject } from "../../kube/index.ts";
import type { CatalogGroup } from "./groups.ts";
import { pathsOf } from "./openapi-paths.ts";

const produces = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/** The paths of a group in the words of OpenAPI v2: what is sent is a parameter, and media types stand beside. */
export function pathsOfV2(group: CatalogGroup): Record<string, object> {
  return Object.fromEntries(
    Object.entries(pathsOf(group)).map(([path, item]) => [
      path,
      Object.fromEntries(
        Object.entries(item).map(([key, value]: [string, unknown]) => [
          key,
          key === "parameters" ? parametersV2(value) : operationV2(value),
        ]),
      ),
    ]),
  );
}

function operationV2(operation: unknown): object {
  if (!isObject(operation)) return {};
  const { parameters, requestBody, responses, ...rest } = operation;
  const [type, sent] = contentOf(requestBody);
  const body = sent && { name: "body", in: "body", required: true, schema: sent };
  const all = [...parametersV2(parameters), ...(body ? [body] : [])];
  return {
    ...rest,
    consumes: type.length > 0 ? type : ["*/*"],
    produces,
    ...(all.length > 0 ? { parameters: all } : {}),
    responses: Object.fromEntries(
      Object.entries(isObject(responses) ? responses : {}).map(([code, response]) => {
        const [, schema] = contentOf(response);
        const description = isObject(response) ? response["description"] : "";
        return [code, { description, ...(schema ? { schema } : {}) }];
      }),
    ),
  };
}

function parametersV2(parameters: unknown): object[] {
  if (!Array.isArray(parameters)) return [];
  return (parameters as unknown[]).flatMap((parameter) => {
    if (!isObject(parameter)) return [];
    const { schema, ...rest } = parameter;
    return [{ ...rest, ...(isObject(schema) ? schema : {}) }];
  });
}

/** Media types of a content, and the schema of the first. */
function contentOf(value: unknown): [types: string[], schema: object | undefined] {
  const content = isObject(value) ? value["content"] : undefined;
  const entries = Object.entries(isObject(content) ? content : {});
  const [, first] = entries[0] ?? [];
  const schema = isObject(first) && isObject(first["schema"]) ? first["schema"] : undefined;
  const to = schema?.["$ref"];
  return [
    entries.map(([type]) => type),
    typeof to === "string" ? { $ref: to.replace("#/components/schemas/", "#/definitions/") } : schema,
  ];
}
