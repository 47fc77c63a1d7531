/**
 * A field of a message: number, name in JSON, type (a scalar or a message), and how it is held. `inline` fields belong to the
 * message around them in JSON. A `pointer` is sent only when it is set. All others are always sent: of `kept` ones 0, false and ""
 * mean what they say, of the rest they mean "not set".
 */
export type Field = readonly [
  id: number,
  name: string,
  type: string,
  rule?: "list" | "map" | "inline" | "pointer" | "kept",
];

/** What every body begins with. */
export const magic = Buffer.from("k8s\0");

const meta = "apimachinery.pkg.apis.meta.v1";
const extensions = "apiextensions_apiserver.pkg.apis.apiextensions.v1";

/** Messages that JSON writes in a way of their own. */
export const messageNames = {
  time: `${meta}.Time`,
  microTime: `${meta}.MicroTime`,
  fieldsV1: `${meta}.FieldsV1`,
  verbs: `${meta}.Verbs`,
  listMeta: `${meta}.ListMeta`,
  intOrString: "apimachinery.pkg.util.intstr.IntOrString",
  quantity: "apimachinery.pkg.api.resource.Quantity",
  rawExtension: "apimachinery.pkg.runtime.RawExtension",
  extraValues: [
    "api.authorization.v1.ExtraValue",
    "api.authentication.v1.ExtraValue",
    "api.certificates.v1.ExtraValue",
  ],
  json: `${extensions}.JSON`,
  schemaOrArray: `${extensions}.JSONSchemaPropsOrArray`,
  schemaOrBool: `${extensions}.JSONSchemaPropsOrBool`,
  schemaOrStrings: `${extensions}.JSONSchemaPropsOrStringArray`,
} as const;
