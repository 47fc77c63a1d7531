import { traversal } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { fail, listValue, mapValue, type OpaqueValue, type Value } from "../values.ts";

const type = "kubernetes.URL";

interface Parts {
  readonly scheme: string;
  /** With port. */
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly text: string;
}

/** As Go's `url.ParseRequestURI`: an absolute URL or an absolute path, without fragment. What is wrong, as a text. */
function read(text: string): Parts | string {
  const problem = (what: string) =>
    `URL parse error during conversion from string: parse ${JSON.stringify(text)}: ${what}`;
  if (text === "") return problem("empty url");
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) return problem("net/url: invalid control character in URL");
  const [, scheme, rest = text] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/s.exec(text) ?? [];
  if (scheme === undefined && /^[^/?]*:/.test(text))
    return problem(text.startsWith(":") ? "missing protocol scheme" : "first path segment in URL cannot contain colon");
  const mark = rest.indexOf("?");
  const [before, query] = mark < 0 ? [rest, ""] : [rest.slice(0, mark), rest.slice(mark + 1)];
  if (!before.startsWith("/") && scheme === undefined) return problem("invalid URI for request");
  if (!before.startsWith("/")) return { scheme: (scheme ?? "").toLowerCase(), host: "", path: "", query, text };
  let [host, path] = ["", before];
  if (before.startsWith("//") && (scheme !== undefined || !before.startsWith("///"))) {
    const slash = before.indexOf("/", 2);
    const authority = slash < 0 ? before.slice(2) : before.slice(2, slash);
    path = slash < 0 ? "" : before.slice(slash);
    host = authority.slice(authority.lastIndexOf("@") + 1);
    if (/[\s<>"\\^`{|}]/.test(host))
      return problem(`invalid character ${JSON.stringify(/[\s<>"\\^`{|}]/.exec(host)?.[0])} in host name`);
    const port = host.startsWith("[") ? /\](.*)$/.exec(host)?.[1] : (/:.*$/.exec(host)?.[0] ?? "");
    if (port === undefined) return problem("missing ']' in host");
    if (!/^(?::\d*)?$/.test(port)) return problem(`invalid port ${JSON.stringify(port)} after host`);
  }
  const wrong = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(path);
  if (wrong) return problem(`invalid URL escape ${JSON.stringify(wrong[0])}`);
  return { scheme: (scheme ?? "").toLowerCase(), host, path, query, text };
}

function parse(text: string): OpaqueValue {
  const parts = read(text);
  if (typeof parts === "string") return fail(parts);
  return { kind: "opaque", type, content: parts, equals: (other) => partsOf(other).text === text };
}

const partsOf = ({ content }: OpaqueValue): Parts => content as Parts;
const withoutPort = (host: string): string =>
  host.startsWith("[") ? host.slice(1, host.indexOf("]")) : host.replace(/:\d*$/, "");
const portOf = (host: string): string => /:(\d*)$/.exec(host.slice(host.lastIndexOf("]") + 1))?.[1] ?? "";

function escapedPath(path: string): string {
  return path.replace(/[^A-Za-z0-9\-_.~$&+,/:;=@!'()*%[\]]/gu, (part) => encodeURIComponent(part));
}

function queryOf({ query }: Parts): Value {
  const values = new Map<string, Value[]>();
  for (const part of query.split("&")) {
    if (part === "" || part.includes(";")) continue;
    const equal = part.indexOf("=");
    const [key, value] = equal < 0 ? [part, ""] : [part.slice(0, equal), part.slice(equal + 1)];
    const [name, decoded] = [unescape(key), unescape(value)];
    if (name === undefined || decoded === undefined) continue;
    values.set(name, [...(values.get(name) ?? []), decoded]);
  }
  return mapValue([...values].map(([key, items]) => [key, listValue(items)] as const));
}

function unescape(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

const part = (name: string, get: (parts: Parts) => string): Overload =>
  define(name, `${type}.() string`, (value: OpaqueValue) => get(partsOf(value)));

export const urls: readonly Overload[] = [
  define("url", `(string) ${type}`, parse, traversal()),
  define("isURL", "(string) bool", (text: string) => typeof read(text) !== "string"),
  part("getScheme", ({ scheme }) => scheme),
  part("getHost", ({ host }) => host),
  part("getHostname", ({ host }) => withoutPort(host)),
  part("getPort", ({ host }) => portOf(host)),
  part("getEscapedPath", ({ path }) => escapedPath(path)),
  define("getQuery", `${type}.() map(string, list(string))`, (value: OpaqueValue) => queryOf(partsOf(value))),
];
