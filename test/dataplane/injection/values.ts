/** Stands in every hostile value: where it is found, a user's bytes are. */
export const mark = "flevil";

/** Text that means something to nginx, HAProxy, Lua, a shell, HTTP, PEM, JSON, a path of a file, or to nobody. */
export const kinds: readonly string[] = [
  '"',
  "'",
  "\n",
  "\r\n",
  "\r",
  "\0",
  ";",
  "{ }",
  "}",
  "#",
  "$host ${request_uri}",
  "%[env(PATH)]",
  "\\",
  " ",
  "\t",
  "\u0001full",
  "\u007f",
  " <<\n",
  "\n\nset server x/y state maint\n",
  "; show env",
  "; } server { listen 9; } #",
  "]] os.execute('true') --[[",
  "{{ .X }}",
  "é 𝒳 \u2028\u0085",
  "\ud800",
  "%0d%0aX-Evil:%201",
  "=0A=0D",
  "/../../../../tmp/",
  "/",
  "|",
  ":9,",
  "?a=b&c",
  "*",
  "*.",
  "(a+)+$",
  "[",
  "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  '", "level": 60, "x": "',
  "x".repeat(5_000),
];

/** Names that mean something to an object of JavaScript, put in whole. */
export const inherited: readonly string[] = ["__proto__", "constructor", "toString", ""];

/** How a hostile text and the one that was there before become one. */
export const forms: readonly ((before: string, hostile: string) => string)[] = [
  (_before, hostile) => hostile,
  (before, hostile) => before + hostile,
  (before, hostile) => hostile + before,
  (before, hostile) => before.slice(0, before.length >> 1) + hostile + before.slice(before.length >> 1),
];

export const combinations = kinds.length * forms.length + inherited.length;

/** The `index`th way to make a hostile text of `before`: another one for each `unique`. */
export function hostile(before: string, index: number, unique: number): string {
  const at = index % combinations;
  const whole = inherited[at - kinds.length * forms.length];
  if (whole !== undefined) return whole;
  const form = forms[at % forms.length];
  const kind = kinds[Math.floor(at / forms.length)] ?? "";
  return form?.(before, `a${kind}${mark}${unique}`) ?? "";
}
