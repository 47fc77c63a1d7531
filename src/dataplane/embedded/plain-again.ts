import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/**
 * Puts a request that offers to change to cleartext HTTP/2 back on its connection without the offer, which a server may
 * ignore (RFC 9110 section 7.8); node's parser stops at any offer. True when it was one: the connection is then to be
 * served anew. Java's client and `curl --http2` make this offer with every first request, body and all.
 */
export function withoutUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): boolean {
  const offers = (request.headers.upgrade ?? "").split(",").map((each) => each.trim().toLowerCase());
  if (!offers.includes("h2c")) return false;
  const lines = [`${request.method ?? "GET"} ${request.url ?? "/"} HTTP/${request.httpVersion}`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] as string;
    const lower = name.toLowerCase();
    if (lower === "upgrade" || lower === "http2-settings" || lower === "connection") continue;
    lines.push(`${name}: ${request.rawHeaders[i + 1] ?? ""}`);
  }
  const text = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  socket.unshift(Buffer.concat([text, head]));
  return true;
}
