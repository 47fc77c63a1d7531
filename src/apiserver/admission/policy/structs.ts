import type { Cel, CelModule } from "../../../kube/index.ts";

/** An `Object{...}` as JSON. Throws an Error when a type in it is not that of the field in which it stands. */
export function configurationOf(cel: CelModule, value: Cel.Value): unknown {
  checkNames(value, "Object");
  return cel.toJson(value);
}

function checkNames(value: Cel.Value | undefined, expected: string): void {
  if (typeof value !== "object" || value === null || !("kind" in value)) return;
  if (value.kind === "object") {
    if (value.type !== expected)
      throw new Error(
        `unexpected type name ${JSON.stringify(value.type)}, expected ${JSON.stringify(expected)}, which matches field name path from root Object type`,
      );
    for (const field of value.fields()) checkNames(value.get(field), `${expected}.${field}`);
  } else if (value.kind === "list") for (let i = 0; i < value.size; i++) checkNames(value.at(i), expected);
  else if (value.kind === "map") for (const key of value.keys()) checkNames(value.get(key), expected);
}
