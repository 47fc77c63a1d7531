/** A field of a row. What text is allowed is for the program's serialiser to say. */
export type Atom = string | number;

/** The object and field a row comes from, for example `Service default/web` and `spec.ports[0].nodePort`. */
export interface Owner {
  readonly object: string;
  readonly field: string;
}

/** One entry of a program's table: a key, unique within the table, and what it maps to (empty in a set). */
export interface Row {
  readonly table: string;
  readonly key: readonly Atom[];
  readonly value: readonly Atom[];
  readonly owner: Owner;
}

/** Table and key as one string. */
export function rowId(row: Row): string {
  return `${row.table} ${row.key.join(" ")}`;
}

export function sameValue(a: Row, b: Row): boolean {
  return a.value.length === b.value.length && a.value.every((atom, i) => atom === b.value[i]);
}
