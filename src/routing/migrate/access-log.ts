/** What one line of an access log says of a request and of what became of it. */
export interface LoggedRequest {
  readonly method: string;
  /** Without query, as the client sent it. */
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
  /** Absent: the format does not say it, as ingress-nginx's own. */
  readonly host?: string;
  readonly scheme?: "http" | "https";
  readonly client?: string;
  readonly status: number;
  /** `NAMESPACE-SERVICE-PORT`, as `$proxy_upstream_name` has it. Absent: no backend was asked, or the format does not say it. */
  readonly upstream?: string;
  /** The same of a canary (`$proxy_alternative_upstream_name`). */
  readonly alternative?: string;
  /** True: no backend was asked, the proxy answered by itself (`$upstream_addr` is `-`). */
  readonly local?: boolean;
}

/** Characters of a line beyond which it is not read. */
const longest = 65_536;

/**
 * Reads a line of an access log: ingress-nginx's `upstreaminfo`, nginx's `combined` and `common`, or an object in JSON with the usual
 * names; also as a container runtime keeps them, with what it puts around. `undefined` for any other text.
 */
export function parseAccessLogLine(line: string): LoggedRequest | undefined {
  if (line.length > longest) return undefined;
  const text = line.trim().replace(collected, "");
  return text.startsWith("{") ? parseJsonLine(text) : parseTextLine(text);
}

/** What a container runtime puts before each line of its files (CRI). */
const collected = /^\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP] /;

const textLine =
  /^(\S+) - .*? \[[^\]]*\] "([A-Z]{1,20}) (\S+)(?: HTTP\/[\d.]+)?" (\d{3}) \S+(?: "[^"]*" "[^"]*")?(?: \d+ [\d.]+ \[([^\]]*)\](?: \[([^\]]*)\])? (\S+))?/;

function parseTextLine(text: string): LoggedRequest | undefined {
  const found = textLine.exec(text);
  if (!found) return undefined;
  const [, client = "", method = "", target = "", status = "", upstream, alternative, address] = found;
  const asked = { method, target: unescaped(target), status: Number(status), client };
  return logged({ ...asked, upstream, alternative, address });
}

/** nginx writes `"`, `\` and what is not visible as `\x22`. */
function unescaped(text: string): string {
  return text.replaceAll(/\\x([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

const names = {
  method: ["request_method", "method", "verb", "http_method"],
  host: ["host", "vhost", "http_host", "server_name", "authority"],
  target: ["request_uri", "uri", "path", "request_path", "url"],
  query: ["args", "query_string", "query", "request_query"],
  status: ["status", "status_code", "response_code", "code"],
  client: ["remote_addr", "client", "client_ip", "the_real_ip", "remote_ip"],
  upstream: ["proxy_upstream_name", "upstream_name"],
  alternative: ["proxy_alternative_upstream_name"],
  address: ["upstream_addr"],
  scheme: ["scheme", "x_scheme", "x_forwarded_proto", "http_x_forwarded_proto"],
  request: ["request"],
} as const;

function parseJsonLine(text: string): LoggedRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const record = value as Readonly<Record<string, unknown>>;
  // A line in the files of a runtime, or of whoever collects them.
  for (const key of ["log", "message"]) {
    const inner = Object.hasOwn(record, key) ? record[key] : undefined;
    // Each level of quotation doubles the last one's marks: there cannot be many.
    if (typeof inner === "string" && !Object.hasOwn(record, "status")) return parseAccessLogLine(inner);
  }
  const of = (name: keyof typeof names): string | undefined => {
    for (const key of names[name]) {
      const given = Object.hasOwn(record, key) ? record[key] : undefined;
      if ((typeof given === "string" && given !== "") || typeof given === "number") return String(given);
    }
    return undefined;
  };
  const [, verb, inLine] = /^([A-Z]{1,20}) (\S+)/.exec(of("request") ?? "") ?? [];
  const method = of("method") ?? verb;
  const target = of("target") ?? inLine;
  const status = Number(of("status"));
  if (method === undefined || target === undefined || !Number.isInteger(status)) return undefined;
  const query = of("query");
  return logged({
    method,
    target: target.includes("?") || query === undefined ? target : `${target}?${query}`,
    status,
    client: of("client"),
    host: of("host"),
    scheme: of("scheme"),
    upstream: of("upstream"),
    alternative: of("alternative"),
    address: of("address"),
  });
}

interface Parts {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly client: string | undefined;
  readonly host?: string | undefined;
  readonly scheme?: string | undefined;
  readonly upstream: string | undefined;
  readonly alternative: string | undefined;
  readonly address: string | undefined;
}

function logged({ method, target, status, client, host, scheme, ...backend }: Parts): LoggedRequest {
  const { upstream, alternative, address } = backend;
  // An absolute target names its host itself (RFC 9112 section 3.2.2).
  const [, absoluteScheme, authority, rest] = /^(https?):\/\/([^/?]+)(.*)$/i.exec(target) ?? [];
  const whole = authority === undefined ? target : rest || "/";
  const mark = whole.indexOf("?");
  const given = (text: string | undefined): text is string => text !== undefined && text !== "" && text !== "-";
  const asked = given(host) ? host : authority;
  const by = (scheme ?? absoluteScheme)?.toLowerCase();
  return {
    method,
    path: mark < 0 ? whole : whole.slice(0, mark),
    query: mark < 0 ? "" : whole.slice(mark),
    status,
    ...(asked === undefined ? {} : { host: asked }),
    ...(by === "http" || by === "https" ? { scheme: by } : {}),
    ...(given(client) ? { client } : {}),
    ...(given(upstream) ? { upstream } : {}),
    ...(given(alternative) ? { alternative } : {}),
    ...(address === "-" ? { local: true } : {}),
  };
}
