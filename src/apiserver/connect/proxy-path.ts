import { posix } from "node:path";
import { beforePort } from "../../kube/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { textResponse } from "../request/respond.ts";
import type { Headers } from "./hop-by-hop.ts";
import { rewriteLinks } from "./links.ts";
import type { Backend, PassedAnswer } from "./pass-on.ts";

/** What follows `/proxy`, still encoded, with the query; "" when not even a slash does. */
export function restOfPath({ transport, path, query }: ApiRequest, { namespace, resource }: ResourceInfo): string {
  const text = query.toString();
  const url = transport?.url ?? `${path}${text ? `?${text}` : ""}`;
  const mark = url.indexOf("?");
  const raw = mark < 0 ? url : url.slice(0, mark);
  // api, v1, [namespaces, its name,] resource, its name, proxy
  let left = namespace && resource !== "namespaces" ? 7 : 5;
  let at = 0;
  while (left > 0 && at < raw.length) {
    while (raw[at] === "/") at++;
    while (at < raw.length && raw[at] !== "/") at++;
    left--;
  }
  return `${raw.slice(at)}${mark < 0 ? "" : url.slice(mark)}`;
}

/**
 * Relative links of a page at `.../proxy` would lead beside it: who reads it is sent to `.../proxy/`, as upstream does. Not for upgrades, nor for
 * what writes: clients do not send a body again.
 */
export function redirectToSlash({ method, transport, path, query }: ApiRequest, rest: string): ApiResponse | undefined {
  if (rest.startsWith("/") || transport?.upgrade === true || (method !== "GET" && method !== "HEAD")) return undefined;
  const text = query.toString();
  const url = transport?.url ?? `${path}${text ? `?${text}` : ""}`;
  const mark = url.indexOf("?");
  const location = mark < 0 ? `${url}/` : `${url.slice(0, mark)}/${url.slice(mark)}`;
  const response = textResponse(301, "");
  return { ...response, headers: { location } };
}

/** How a request to a pod, Service or node and its answer are changed: forwarding headers, and links that lead back through the proxy. */
export function proxyChange(
  { transport, path }: ApiRequest,
  rest: string,
  backend: Backend,
): { headers: Headers; change: (answer: PassedAnswer) => PassedAnswer } {
  const url = transport?.url ?? path;
  const own = pathOf(url);
  const prefix = own.slice(0, own.length - pathOf(rest).length);
  const asked = transport?.headers[":authority"] ?? transport?.headers.host;
  const site = typeof asked === "string" ? asked : "";
  const links = { prefix, backend: `${beforePort(backend.host)}:${backend.port}`, site };
  return {
    headers: {
      ...(site ? { "x-forwarded-host": site } : {}),
      "x-forwarded-uri": own,
      "x-forwarded-proto": "https",
    },
    change(answer) {
      const { location } = answer.headers;
      const headers =
        typeof location === "string" ? { ...answer.headers, location: rewriteLink(location, links) } : answer.headers;
      const isPage = String(headers["content-type"] ?? "").startsWith("text/html");
      const encoding = headers["content-encoding"];
      if (!isPage || (encoding !== undefined && encoding !== "gzip" && encoding !== "deflate"))
        return { ...answer, headers };
      const { "content-length": _, "content-encoding": __, ...others } = headers;
      const chunks = rewriteLinks(answer.chunks, encoding, (link) => rewriteLink(link, links));
      return { status: answer.status, headers: others, chunks };
    },
  };
}

function pathOf(url: string): string {
  const mark = url.indexOf("?");
  return mark < 0 ? url : url.slice(0, mark);
}

/** What a proxied page's links are led back with. */
export interface LinkContext {
  /** Path of the proxy, for example `/api/v1/namespaces/default/services/web/proxy`. */
  readonly prefix: string;
  /** Host and port that was asked. */
  readonly backend: string;
  /** Host and port that the client asked. */
  readonly site: string;
}

/** A link as it leads through the proxy: absolute paths, and addresses of the backend itself, get the proxy's path before them. */
export function rewriteLink(link: string, { prefix, backend, site }: LinkContext): string {
  const [, scheme = "", host = "", rest = ""] = /^(?:([a-z][a-z0-9+.-]*):)?(?:\/\/([^/?#]*))?(.*)$/is.exec(link) ?? [];
  const isOther =
    host !== "" && host !== backend && host !== site && `${host}:80` !== backend && `${host}:443` !== backend;
  if (isOther || !rest.startsWith("/") || (scheme !== "" && host === "")) return link;
  const keepsSite = host !== "" && host === site;
  const [, path = "", tail = ""] = /^([^?#]*)(.*)$/s.exec(rest) ?? [];
  const before = keepsSite ? `${scheme ? `${scheme}:` : ""}//${host}` : "";
  if (path.startsWith(prefix)) return `${before}${path}${tail}`;
  const joined = posix.join(prefix, path);
  return `${before}${path.endsWith("/") && !joined.endsWith("/") ? `${joined}/` : joined}${tail}`;
}
