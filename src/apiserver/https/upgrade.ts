import { ServerResponse, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ApiResponse } from "../handler.ts";

type UpgradeResponse = Extract<ApiResponse, { type: "upgrade" }>;

/** A connection whose client would speak another protocol after this request. */
export interface Upgrade {
  /** Says yes and hands the connection over. Settles when it is closed. */
  accept(response: UpgradeResponse, headers: Readonly<Record<string, string>>): Promise<void>;
}

/**
 * Prepares for both answers to an HTTP/1.1 upgrade request (RFC 9110, section 7.8): `outgoing` is the ordinary one, after which the
 * connection is closed, since Node's parser has let go of it; `upgrade` the other.
 */
export function beginUpgrade(
  incoming: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): { outgoing: ServerResponse; upgrade: Upgrade } {
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  outgoing.assignSocket(socket as Socket);
  // A ServerResponse learns of the end of its socket from the server, which has given it up.
  const closed = (): void => void outgoing.emit("close");
  socket.once("close", closed);
  outgoing.once("finish", () => socket.end());
  return {
    outgoing,
    upgrade: {
      async accept(response, headers) {
        socket.off("close", closed);
        outgoing.detachSocket(socket as Socket);
        if (socket.destroyed) return response.drop();
        const lines = Object.entries({ ...response.headers, ...headers }).map(([name, value]) => `${name}: ${value}`);
        socket.write(`HTTP/1.1 ${response.status} Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
        await response.take(socket, head);
      },
    },
  };
}

const tokenProtocol = "base64url.bearer.authorization.k8s.io.";

/**
 * The `Authorization` that a WebSocket request brings as a sub-protocol, since browsers can set no header: its token in base64url without
 * padding, beside at least one real sub-protocol (apiserver, authentication/request/websocket). Undefined for a request that brings none.
 */
export function webSocketAuthorization({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  if (headers.upgrade?.toLowerCase() !== "websocket") return undefined;
  const protocols = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const tokens = protocols.filter((one) => one.startsWith(tokenProtocol));
  const [token] = tokens;
  if (token === undefined || tokens.length > 1 || protocols.length < 2) return undefined;
  const encoded = token.slice(tokenProtocol.length);
  const text = Buffer.from(encoded, "base64url").toString();
  // What does not come back the same was no base64url, or no text.
  return text !== "" && Buffer.from(text).toString("base64url") === encoded ? `Bearer ${text}` : undefined;
}
