// Holds requests against Google's own description of the API: the discovery document compute.v1 as google-api-python-client 2.202.0 has it
// (Apache-2.0), cut to what is used and without its texts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import Ajv from "ajv";

const model = JSON.parse(gunzipSync(readFileSync(join(import.meta.dirname, "compute-v1.json.gz"))).toString());

/** A schema of a discovery document as JSON schema. Names that it does not have are no properties. */
function schemaOf({ $ref, type, format, properties, items, additionalProperties, enum: values, pattern }) {
  if ($ref) return { $ref: `#/definitions/${$ref}` };
  const limits = { int32: [-(2 ** 31), 2 ** 31 - 1], uint32: [0, 2 ** 32 - 1] }[format];
  return {
    ...(type && type !== "any" ? { type } : {}),
    ...(limits ? { minimum: limits[0], maximum: limits[1] } : {}),
    ...(type === "string" && format?.endsWith("int64") ? { pattern: "^-?\\d+$" } : {}),
    ...(pattern ? { pattern: `^(?:${pattern})$` } : {}),
    ...(values ? { enum: values } : {}),
    ...(items ? { items: schemaOf(items) } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, schemaOf(one)])),
          additionalProperties: false,
        }
      : additionalProperties
        ? { additionalProperties: schemaOf(additionalProperties) }
        : {}),
  };
}

/** Fields that a method needs. */
const requiredOf = (method, { properties = {} }) =>
  Object.entries(properties).flatMap(([name, { annotations }]) =>
    annotations?.required?.includes(method) ? [name] : [],
  );

const ajv = new Ajv.default({ strict: false, allErrors: true, validateFormats: false, logger: false });
ajv.addSchema(
  { definitions: Object.fromEntries(Object.entries(model.schemas).map(([name, one]) => [name, schemaOf(one)])) },
  "compute",
);
const methods = model.methods.map((method) => ({
  ...method,
  path: new RegExp(`^/${method.path.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`),
  body: method.request && ajv.compile({ $ref: `compute#/definitions/${method.request}` }),
  required: method.request ? requiredOf(method.id, model.schemas[method.request]) : [],
}));

/** What a request is by the model: { id, params, problems }. `path` is below the API's version. */
export function read(httpMethod, path, query, body) {
  for (const method of methods) {
    const match = method.httpMethod === httpMethod && method.path.exec(path);
    if (!match) continue;
    const problems = [];
    for (const [name, value] of Object.entries(match.groups ?? {})) {
      const { pattern } = method.parameters[name] ?? {};
      if (pattern && !new RegExp(`^(?:${pattern})$`).test(value)) problems.push(`${name}: ${value} is not ${pattern}`);
    }
    for (const name of query.keys()) {
      if (!method.parameters[name] && !model.parameters[name]) problems.push(`query ${name} is unknown`);
    }
    if (method.body) {
      if (body === undefined) problems.push("a body is needed");
      else if (!method.body(body)) {
        problems.push(
          ...method.body.errors.map((one) => `${one.instancePath} ${one.message} ${JSON.stringify(one.params)}`),
        );
      }
      for (const name of method.required) if (body?.[name] === undefined) problems.push(`${name} is needed`);
    } else if (body !== undefined) problems.push("no body is taken");
    return { id: method.id, params: { ...match.groups }, problems };
  }
  return { id: "", params: {}, problems: [`${httpMethod} ${path} is no method`] };
}
