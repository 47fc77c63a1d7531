import { statusError } from "../status.ts";

export interface FieldRequirement {
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

/**
 * Reads a field selector: `field=value`, `field==value`, `field!=value`, joined by commas. In values `\`, `,` and `=` are escaped with `\`.
 * Throws 400 BadRequest in the words of apimachinery. Whether a kind has the fields is `checkFieldSelector`'s to say.
 */
export function parseFieldSelector(text: string): FieldRequirement[] {
  const terms = text.match(/(?:\\.|[^\\,])+/gs) ?? [];
  return terms.map((term) => {
    const match = /^((?:\\.|[^\\=!])*)(!=|==|=)(.*)$/s.exec(term);
    if (!match) throw statusError("BadRequest", `invalid selector: '${text}'; can't understand '${term}'`);
    const [, field = "", operator = "", value = ""] = match;
    return { field, operator: operator === "!=" ? "!=" : "=", value: unescape(value) };
  });
}

function unescape(value: string): string {
  const good = /^(?:\\[\\,=]|[^\\,=])*/.exec(value)?.[0] ?? "";
  const rest = value.slice(good.length);
  if (rest.startsWith("\\")) {
    throw statusError("BadRequest", `invalid field selector: invalid escape sequence: ${rest.slice(0, 2)}`);
  }
  if (rest !== "") {
    throw statusError("BadRequest", `invalid field selector: unescaped character in value: ${rest.codePointAt(0)}`);
  }
  return value.replace(/\\(.)/gs, "$1");
}

/** True when the object's selectable fields meet every requirement. */
export function meetsFields(
  requirements: readonly FieldRequirement[],
  fields: Readonly<Record<string, string>>,
): boolean {
  return requirements.every(({ field, operator, value }) => (fields[field] === value) === (operator === "="));
}

/** Jobs have words of their own. */
const unsupported = (kind: string, field: string): string =>
  kind === "Job" ? `field label ${JSON.stringify(field)} not supported for Job` : `field label not supported: ${field}`;

/**
 * Throws 400 BadRequest when a requirement names a field that cannot be selected by.
 * `selectable` are the own fields of `kind`, beside `metadata.name` and `metadata.namespace`. Custom resources have their own words for it.
 */
export function checkFieldSelector(
  requirements: readonly FieldRequirement[],
  selectable: readonly string[],
  kind: string,
  custom = false,
): void {
  const common = ["metadata.name", "metadata.namespace"];
  for (const { field } of requirements) {
    if (common.includes(field) || selectable.includes(field)) continue;
    const text =
      custom || selectable.length > 0
        ? unsupported(custom ? "" : kind, field)
        : `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
    throw statusError("BadRequest", text);
  }
}
