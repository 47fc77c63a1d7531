export { validateDefaults, validateStructural } from "./check.ts";
export { applyDefaults, dropNulls } from "./defaults.ts";
export { definitionFor, definitionName } from "./definition.ts";
export { formatOf, isKnownFormat } from "./formats.ts";
export { compileJsonPath, JsonPathError, type JsonPath } from "./json-path.ts";
export {
  fieldSchema,
  hasInside,
  itemsOf,
  nodesOf,
  valuesOf,
  type JsonSchema,
} from "./json-schema.ts";
export { identityOf, keysOf, validateListTypes } from "./list-types.ts";
export { child, textOf, type Path } from "./path.ts";
export { prune, typeAndMeta } from "./prune.ts";
export { correlatedField, correlatedItems, validateValue } from "./validate.ts";
