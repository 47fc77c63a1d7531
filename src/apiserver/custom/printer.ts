import {
  compileJsonPath,
  JsonPathError,
  since,
  type CustomResourceColumnDefinition,
  type CustomResourceDefinitionVersion,
  type JsonPath,
  type KubeObject,
} from "../../kube/index.ts";
import type { Cell, Column, Printer } from "../table/index.ts";

const age: CustomResourceColumnDefinition = {
  name: "Age",
  type: "date",
  description: "Time since the object was created.",
  jsonPath: ".metadata.creationTimestamp",
};

const nameColumn: Column = {
  name: "Name",
  type: "string",
  format: "name",
  description: "Name of the object, unique within its namespace and kind.",
  priority: 0,
};

/** The columns of a version: its name, and those of the definition, or the age. */
export function printerFor({
  additionalPrinterColumns: own = [],
}: CustomResourceDefinitionVersion): Printer<KubeObject> {
  const columns = own.length > 0 ? own : [age];
  const paths = columns.map(({ jsonPath }) => pathOf(jsonPath));
  return {
    columns: [nameColumn, ...columns.map(columnOf)],
    cells: (object, now) => [
      object.metadata.name,
      ...columns.map(({ type }, i) => cellOf(type, paths[i]?.find(object)[0], now)),
    ],
  };
}

/** A path that is not well formed leads to no value. */
function pathOf(text: string): JsonPath | undefined {
  try {
    return compileJsonPath(text);
  } catch (error) {
    if (error instanceof JsonPathError) return undefined;
    throw error;
  }
}

function columnOf({
  name,
  type,
  format = "",
  description,
  jsonPath,
  priority = 0,
}: CustomResourceColumnDefinition): Column {
  return {
    name,
    type: type as Column["type"],
    format,
    description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    priority,
  };
}

function cellOf(type: string, value: unknown, now: number): Cell {
  if (value === undefined || value === null) return null;
  switch (type) {
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "string":
      return typeof value === "string" ? value : JSON.stringify(value);
    case "date":
      if (typeof value !== "string") return null;
      return Number.isNaN(Date.parse(value)) ? "<invalid>" : since(value, now);
    default:
      return null;
  }
}
