import type { IncomingMessage } from "node:http";
import { refusal } from "./refusal.ts";

/** The values of a header that is a list, over all its lines. */
export function listOf(request: IncomingMessage, name: string): string[] {
  return (request.headersDistinct[name] ?? [])
    .flatMap((line) => line.split(","))
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

export function isWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === "websocket";
}

/** Whether a client asks for SPDY/3.1. */
export function isSpdy(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === "spdy/3.1";
}

/** The first protocol that the client names and the server has; "" when it names none and `fallback` allows that. Throws `Refusal` 403. */
export function chooseProtocol(asked: readonly string[], known: readonly string[], fallback = false): string {
  const found = asked.find((one) => known.includes(one));
  if (found !== undefined) return found;
  if (asked.length === 0 && fallback) return "";
  throw refusal(
    403,
    `unable to upgrade: unable to negotiate protocol: client supports [${asked.join(" ")}], server accepts [${known.join(" ")}]`,
    { "x-accepted-stream-protocol-versions": known.join(", ") },
  );
}
