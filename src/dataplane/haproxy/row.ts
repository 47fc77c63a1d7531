/** A row of a table: words and rows in it. Words are any text. */
export type Row = readonly (string | number | Row)[];

const safe = /[A-Za-z0-9._~/*:-]/;

/**
 * A text as one word of HAProxy's maps and runtime commands: letters, digits and `._~/*:-` as they are, every other byte of
 * its UTF-8 as `=XX`; nothing as `=`. No other byte ever reaches a map or a command.
 */
export function word(text: string): string {
  if (text === "") return "=";
  let out = "";
  for (const character of text)
    if (safe.test(character)) out += character;
    else
      for (const byte of Buffer.from(character, "utf8")) out += `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return out;
}

/** A row as text: words between spaces, rows in it between `(` and `)`. */
export function rowText(row: Row): string {
  return row.map((each) => (typeof each === "object" ? `( ${rowText(each)} )` : word(String(each)))).join(" ");
}
