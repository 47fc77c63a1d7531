/** What a row may hold. Members that are `undefined` are left out. */
export type RowValue =
  | string
  | number
  | boolean
  | readonly RowValue[]
  | { readonly [name: string]: RowValue | undefined };

const kinds = { text: ",", number: "^", boolean: "!", list: "]", map: "}" } as const;

/**
 * The one way in which values reach nginx: tagged netstrings (`LENGTH:BYTES` and a byte for the kind), UTF-8. Every value
 * says its length before it, so nothing in it needs to be escaped and nothing in it can end it. `lua/fairlead/encoding.lua`
 * reads it.
 */
export function encodeRow(value: RowValue): Buffer {
  const [content, kind] = contentOf(value);
  return Buffer.concat([Buffer.from(`${content.length}:`), content, Buffer.from(kind)]);
}

function contentOf(value: RowValue): [Buffer, string] {
  if (typeof value === "string") return [Buffer.from(value, "utf8"), kinds.text];
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`a row can not hold the number ${value}`);
    return [Buffer.from(String(value)), kinds.number];
  }
  if (typeof value === "boolean") return [Buffer.from(String(value)), kinds.boolean];
  if (isList(value)) return [Buffer.concat(value.map(encodeRow)), kinds.list];
  const members = Object.entries(value).flatMap(([name, member]) =>
    member === undefined ? [] : [encodeRow(name), encodeRow(member)],
  );
  return [Buffer.concat(members), kinds.map];
}

function isList(value: RowValue): value is readonly RowValue[] {
  return Array.isArray(value);
}
