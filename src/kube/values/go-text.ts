import { isObject } from "./equal.ts";

/** What Go calls the type of a JSON value that was decoded without a type: messages of the API show it. */
export function goType(value: unknown): string {
  if (Array.isArray(value)) return "[]interface {}";
  if (isObject(value)) return "map[string]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** A JSON value as Go prints it (`%v`): `map[a:1 b:[x y]]`. */
export function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (isObject(value)) {
    const fields = Object.keys(value).sort();
    return `map[${fields.map((key) => `${key}:${goText(value[key])}`).join(" ")}]`;
  }
  if (value === null || value === undefined) return "<nil>";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A JSON value as a Go program would write it (`%#v`). */
export function goSyntax(value: unknown): string {
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(", ")}}`;
  if (isObject(value)) {
    const fields = Object.keys(value).sort();
    return `map[string]interface {}{${fields.map((key) => `${JSON.stringify(key)}:${goSyntax(value[key])}`).join(", ")}}`;
  }
  return value === null ? "interface {}(nil)" : JSON.stringify(value);
}
