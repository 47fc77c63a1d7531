/**
 * Checks of names, labels and keys, in the words of apimachinery's `util/validation`.
 * Each returns what is wrong with the value; nothing when it is good.
 */
export type NameCheck = (value: string) => readonly string[];

/** What is said of nearly all names. */
const nothing: readonly string[] = [];

/** "msg (e.g. 'a',  or 'b', regex used for validation is '...')": upstream's form, spaces included. */
function regexError(message: string, regex: string, ...examples: string[]): string {
  const shown = examples.map((example) => `'${example}', `).join(" or ");
  return `${message} (e.g. ${shown}regex used for validation is '${regex}')`;
}

const tooLong = (max: number, unit = "characters") => `must be no more than ${max} ${unit}`;
const whole = (regex: string) => new RegExp(`^(?:${regex})$`);
const bytes = (value: string) => Buffer.byteLength(value);

/** A check that a whole value has a form. */
function hasForm(regex: string, message: string, ...examples: string[]): NameCheck {
  const pattern = whole(regex);
  const found = regexError(message, regex, ...examples);
  const wrong = [found];
  return (value) => (pattern.test(value) ? nothing : wrong);
}

/** A check of the length, in bytes, and then of the rest. */
function atMost(max: number, check: NameCheck, unit?: string): NameCheck {
  return (value) => (bytes(value) > max ? [tooLong(max, unit), ...check(value)] : check(value));
}

const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const subdomain = `${label}(\\.${label})*`;
const qualified = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/** A subdomain of RFC 1123: the names of most objects. */
export const isDns1123Subdomain = atMost(
  253,
  hasForm(
    subdomain,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    "example.com",
  ),
);

const subdomainPattern = whole(subdomain);
const labelForm = hasForm(
  label,
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  "my-name",
  "123-abc",
);

/** A label of RFC 1123: most names that become part of a DNS name. */
export const isDns1123Label = atMost(63, (value) => {
  const found = labelForm(value);
  return found.length > 0 && subdomainPattern.test(value) ? ["must not contain dots"] : found;
});

/** A label of RFC 1035: like RFC 1123, and beginning with a letter. */
export const isDns1035Label = atMost(
  63,
  hasForm(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
    "my-name",
    "abc-123",
  ),
);

/** `*.example.com`. */
export const isWildcardDns1123Subdomain = atMost(
  253,
  hasForm(
    `\\*\\.${subdomain}`,
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    "*.example.com",
  ),
);

const qualifiedPattern = whole(qualified);
const qualifiedText = regexError(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  qualified,
  "MyName",
  "my.name",
  "123-abc",
);

/** The key of a label or annotation: a name, with an optional prefix that is a DNS subdomain. */
export const isQualifiedName: NameCheck = (value) => {
  if (value.length <= 63 && qualifiedPattern.test(value)) return nothing;
  const parts = value.split("/");
  if (parts.length > 2) {
    const example = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    return [`a valid label key ${qualifiedText} ${example}`];
  }
  const found: string[] = [];
  const name = parts.at(-1) ?? "";
  const prefix = parts.length === 2 ? parts[0] : undefined;
  if (prefix === "") found.push("prefix part must be non-empty");
  else if (prefix !== undefined) found.push(...isDns1123Subdomain(prefix).map((text) => `prefix part ${text}`));
  if (name === "") found.push("name part must be non-empty");
  else if (bytes(name) > 63) found.push(`name part ${tooLong(63, "bytes")}`);
  if (!qualifiedPattern.test(name)) found.push(`name part ${qualifiedText}`);
  return found;
};

export const isLabelValue = atMost(
  63,
  hasForm(
    `(${qualified})?`,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    "MyValue",
    "my_value",
    "12345",
  ),
  "bytes",
);

/** Why a condition is as it is, in one word. */
export const isConditionReason = hasForm(
  "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
  "my_name",
  "MY_NAME",
  "MyName",
  "ReasonA,ReasonB",
  "ReasonA:ReasonB",
);

/** Printable ASCII other than `=` (KEP-4369). */
export const isEnvironmentName: NameCheck = (value) => {
  if (value === "") return ["environment variable name must be non-empty"];
  return /^[ -<>-~]+$/.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
};

/** The name of a port of a container or an Ingress backend (RFC 6335 service name, lower case). */
export const isPortName = atMost(15, (value) => {
  const found: string[] = [];
  if (!/^[-a-z0-9]+$/.test(value)) {
    found.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!/[a-z]/.test(value)) found.push("must contain at least one letter (a-z)");
  if (value.includes("--")) found.push("must not contain consecutive hyphens");
  if (value.startsWith("-") || value.endsWith("-")) found.push("must not begin or end with a hyphen");
  return found;
});

const configKeyForm = hasForm(
  "[-._a-zA-Z0-9]+",
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
  "key.name",
  "KEY_NAME",
  "key-name",
);

/** A key of a ConfigMap or a Secret: it may become a file name. */
export const isConfigKey = atMost(253, (value) => {
  const found = configKeyForm(value);
  if (value === "." || value === "..") return [...found, `must not be '${value}'`];
  return value.startsWith("..") ? [...found, "must not start with '..'"] : found;
});

export const isHttpHeaderName = hasForm(
  "[-A-Za-z0-9]+",
  "a valid HTTP header must consist of alphanumeric characters or '-'",
  "X-Header-Name",
);

/** `25%`. */
export const isPercent = hasForm(
  "[0-9]+%",
  "a valid percent string must be a numeric string followed by an ending '%'",
  "1%",
  "93%",
);

/** A segment of a URL path: names of RBAC objects. */
export const isPathSegment: NameCheck = (value) => {
  if (value === "." || value === "..") return [`may not be '${value}'`];
  return ["/", "%"].filter((part) => value.includes(part)).map((part) => `may not contain '${part}'`);
};

export const inRange = (value: number, low: number, high: number): string[] =>
  value >= low && value <= high ? [] : [`must be between ${low} and ${high}, inclusive`];

export const isPortNumber = (value: number): string[] => inRange(value, 1, 65_535);

/**
 * A check as it applies to a `generateName`: a suffix will follow, so a dash at its end is no fault.
 */
export function forPrefix(check: NameCheck): NameCheck {
  return (value) => check(value.length > 1 && value.endsWith("-") ? `${value.slice(0, -2)}a` : value);
}

// No vowels and no digits that look like letters: no words come out by chance.
const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/**
 * A name that begins with `prefix`: five random characters follow; at most 63 in all.
 * `random` gives numbers in [0, 1).
 */
export function generateName(prefix: string, random: () => number): string {
  let suffix = "";
  while (suffix.length < 5) suffix += suffixAlphabet[Math.floor(random() * suffixAlphabet.length)] ?? "";
  return prefix.slice(0, 58) + suffix;
}
