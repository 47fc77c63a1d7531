import type { IncomingHttpHeaders } from "node:http";

/** Headers that are about one connection only (RFC 9110, section 7.6.1). */
const always = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
];

/** By which a client says to this server who it is: nobody behind it may learn that. */
const credentials = ["authorization", "x-remote-user", "x-remote-uid", "x-remote-group"];
const credentialPrefixes = ["impersonate-", "x-remote-extra-"];
/** A bearer token in place of a WebSocket sub-protocol, for clients that can set no header. */
export const tokenProtocol = "base64url.bearer.authorization.k8s.io.";

export type Headers = Record<string, string | string[]>;

/** The headers of a message without those that concern its connection alone. */
export function endToEnd(headers: IncomingHttpHeaders): Headers {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const dropped = new Set([...always, ...named]);
  const kept: Headers = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(":") || dropped.has(name)) continue;
    kept[name] = value;
  }
  return kept;
}

/** The headers of a request as somebody behind this server may see them. */
export function withoutCredentials(headers: Headers): Headers {
  const kept: Headers = {};
  for (const [name, value] of Object.entries(headers)) {
    if (credentials.includes(name) || credentialPrefixes.some((prefix) => name.startsWith(prefix))) continue;
    kept[name] = value;
  }
  const protocols = kept["sec-websocket-protocol"];
  if (protocols !== undefined) {
    const offered = String(protocols)
      .split(",")
      .map((one) => one.trim());
    kept["sec-websocket-protocol"] = offered.filter((one) => !one.startsWith(tokenProtocol)).join(", ");
  }
  return kept;
}
