import {
  forPrefix,
  isDns1035Label,
  isDns1123Label,
  isDns1123Subdomain,
  isLabelValue,
  isQualifiedName,
  type NameCheck,
} from "../../values/names.ts";
import { fixed, traversal } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { readDate, readTimestamp } from "../time.ts";
import { listValue, none, some, type OpaqueValue, type Value } from "../values.ts";

const type = "kubernetes.NamedFormat";

interface Format {
  readonly name: string;
  readonly check: NameCheck;
}

const when =
  (holds: (text: string) => boolean, problem: string): NameCheck =>
  (text) =>
    holds(text) ? [] : [problem];

const checks: Readonly<Record<string, NameCheck>> = {
  dns1123Label: isDns1123Label,
  dns1123Subdomain: isDns1123Subdomain,
  dns1035Label: isDns1035Label,
  qualifiedName: isQualifiedName,
  dns1123LabelPrefix: forPrefix(isDns1123Label),
  dns1123SubdomainPrefix: forPrefix(isDns1123Subdomain),
  dns1035LabelPrefix: forPrefix(isDns1035Label),
  labelValue: isLabelValue,
  uri: when((text) => /^[A-Za-z][A-Za-z0-9+.-]*:\S*$|^\/\S*$/.test(text), "must be a valid URI"),
  uuid: when(
    (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
    "does not match the UUID format",
  ),
  byte: when((text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), "invalid base64"),
  date: when((text) => readDate(text) !== undefined, "invalid date"),
  datetime: when((text) => readTimestamp(text) !== undefined, "invalid datetime"),
};

const valueOf = (format: Format): OpaqueValue => ({
  kind: "opaque",
  type,
  content: format,
  equals: (other) => formatOf(other).name === format.name,
});
const formatOf = ({ content }: OpaqueValue): Format => content as Format;
const named = (name: string): Value => {
  const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
  return check ? some(valueOf({ name, check })) : none;
};

function validate(value: OpaqueValue, text: string): Value {
  const problems = formatOf(value).check(text);
  return problems.length > 0 ? some(listValue(problems)) : none;
}

/** Kubernetes' named formats of texts. */
export const formats: readonly Overload[] = [
  define("format.named", `(string) optional(${type})`, named, fixed(1)),
  define("validate", `${type}.(string) optional(list(string))`, validate, traversal(1, 1)),
  ...Object.entries(checks).map(([name, check]) =>
    define(`format.${name}`, `() ${type}`, () => valueOf({ name, check })),
  ),
];
