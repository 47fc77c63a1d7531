import type { ConfigMap } from "../../kube/index.ts";
import type { Field, Filter } from "../filters.ts";
import type { Template } from "../template.ts";
import { fieldNameOf, fieldValueOf, templateOf, ValueFault } from "./values.ts";

/** A header field whose value may have parts of the request in it. */
export interface TemplateField {
  readonly name: string;
  readonly value: Template;
}

/** Whose fields: those of requests on their way to backends, or those of answers. */
export type FieldsOf = "request" | "answer";

/** The filter that sets fields, or adds them to what is there; an empty value removes its field, as in nginx. */
export function fieldsFilter(of: FieldsOf, how: "set" | "add", fields: readonly TemplateField[]): Filter {
  if (fields.some(({ value }) => value.some((part) => typeof part !== "string")))
    return { type: "TemplateHeaders", of, how, fields };
  const plain = fields.map(({ name, value }) => ({
    name,
    value: value.filter((part) => typeof part === "string").join(""),
  }));
  const given = plain.filter(({ value }) => value !== "");
  const changes = {
    set: how === "set" ? given : [],
    add: how === "add" ? given : [],
    remove: plain.flatMap(({ name, value }) => (value === "" ? [name] : [])),
  };
  return { type: of === "request" ? "RequestHeaders" : "ResponseHeaders", changes };
}

/** A field whose value is a text with variables. Throws ValueFault. */
export function templateField(name: string, value: string): TemplateField {
  return { name: fieldNameOf(name), value: templateOf(value) };
}

/** A field as it stands. Throws ValueFault. */
export function literalField(name: string, value: string): TemplateField {
  return { name: fieldNameOf(name), value: [fieldValueOf(value)] };
}

/** The fields that a ConfigMap's data are. Throws ValueFault with the key of what is none. */
export function fieldsOfMap(
  { data = {} }: ConfigMap,
  read: (name: string, value: string) => TemplateField,
): TemplateField[] {
  return Object.entries(data).map(([name, value]) => {
    try {
      return read(name, value);
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      throw new ValueFault(`data[${name}]: ${error.message}`);
    }
  });
}

/** `NAME: VALUE`. Throws ValueFault. */
export function splitField(text: string): Field {
  const colon = text.indexOf(":");
  if (colon < 0) throw new ValueFault(`${JSON.stringify(text)} is not NAME: VALUE`);
  return { name: fieldNameOf(text.slice(0, colon).trim()), value: fieldValueOf(text.slice(colon + 1).trim()) };
}
