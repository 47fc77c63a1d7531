/** Text with parts of the request in it, as annotations of ingress-nginx have them: `https://$host$request_uri`. */
export type Template = readonly (string | { readonly variable: string })[];

/** What a template can say of a request. All of it is text as it was received, or the proxy's own. */
export interface RequestFacts {
  readonly scheme: string;
  /** Without port, in lower case. */
  readonly host: string;
  /** Host header as it was sent. */
  readonly httpHost: string;
  readonly method: string;
  /** Canonical path. */
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
  readonly client: string;
  readonly id: string;
  readonly port: number;
  readonly header: (name: string) => string | undefined;
}

const facts: Readonly<Record<string, (request: RequestFacts) => string>> = {
  scheme: (request) => request.scheme,
  pass_access_scheme: (request) => request.scheme,
  host: (request) => request.host,
  best_http_host: (request) => request.httpHost,
  http_host: (request) => request.httpHost,
  server_port: (request) => String(request.port),
  request_method: (request) => request.method,
  uri: (request) => request.path,
  document_uri: (request) => request.path,
  request_uri: (request) => request.path + request.query,
  escaped_request_uri: (request) => encodeURIComponent(request.path + request.query),
  args: (request) => request.query.slice(1),
  query_string: (request) => request.query.slice(1),
  is_args: (request) => request.query.slice(0, 1),
  remote_addr: (request) => request.client,
  the_real_ip: (request) => request.client,
  binary_remote_addr: (request) => request.client,
  req_id: (request) => request.id,
  request_id: (request) => request.id,
};

/**
 * Reads a template; a text that says what is wrong with it otherwise. Unknown variables are refused: nginx would not start with them.
 * `constants`: names of further ones, for which whoever reads it puts in what they stand for.
 */
export function parseTemplate(text: string, constants?: readonly string[]): Template | { readonly fault: string } {
  const parts: (string | { variable: string })[] = [];
  let last = 0;
  for (const found of text.matchAll(/\$(?:\{(\w+)\}|(\w+))?/g)) {
    const name = found[1] ?? found[2];
    if (name === undefined || !(isKnown(name) || constants?.includes(name)))
      return { fault: `${JSON.stringify(found[0])} is no variable that is known` };
    if (found.index > last) parts.push(text.slice(last, found.index));
    parts.push({ variable: name });
    last = found.index + found[0].length;
  }
  if (last < text.length) parts.push(text.slice(last));
  return parts;
}

function isKnown(name: string): boolean {
  return Object.hasOwn(facts, name) || /^(?:http|cookie|arg)_\w+$/.test(name);
}

/** The text for a request. */
export function renderTemplate(template: Template, request: RequestFacts): string {
  return template.map((part) => (typeof part === "string" ? part : valueOf(part.variable, request))).join("");
}

function valueOf(name: string, request: RequestFacts): string {
  const fact = Object.hasOwn(facts, name) ? facts[name] : undefined;
  if (fact) return fact(request);
  const [, kind, rest = ""] = /^(http|cookie|arg)_(\w+)$/.exec(name) ?? [];
  if (kind === "http") return request.header(rest.replaceAll("_", "-").toLowerCase()) ?? "";
  if (kind === "cookie") return cookieOf(request.header("cookie"), rest) ?? "";
  return kind === "arg" ? argumentOf(request.query, rest) : "";
}

/** The first value of a parameter as it was sent, as nginx has it: decoded, it could bring a line end into a header field. */
function argumentOf(query: string, name: string): string {
  for (const pair of query.slice(1).split("&")) if (pair.startsWith(`${name}=`)) return pair.slice(name.length + 1);
  return "";
}

/** The value of one cookie of a Cookie header (RFC 6265 section 5.4). */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(";") ?? []) {
    const equals = pair.indexOf("=");
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
