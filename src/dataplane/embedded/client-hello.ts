import type { Socket } from "node:net";

/** What a client's first TLS message says (RFC 8446 section 4.1.2). */
export interface ClientHello {
  /** Server name (RFC 6066 section 3) in lower case; "" when it names none. */
  readonly serverName: string;
  /** Protocols that it offers by ALPN (RFC 7301 section 3.1), a letter a byte. */
  readonly protocols: readonly string[];
}

/** Bytes of records that a ClientHello may take. Post-quantum keys make it two kilobytes; more than this is no handshake. */
const most = 64 << 10;

/**
 * Reads a ClientHello from the bytes that have come so far. `undefined`: more must come. Throws `TypeError` for what is
 * no TLS.
 */
export function parseClientHello(bytes: Buffer): ClientHello | undefined {
  // The message may be spread over several records.
  const fragments: Buffer[] = [];
  let have = 0;
  let at = 0;
  for (;;) {
    if (bytes.length < at + 5) {
      if (bytes.length > at && bytes[at] !== 22) throw new TypeError("this is no TLS handshake");
      return undefined;
    }
    if (bytes[at] !== 22 || bytes[at + 1] !== 3) throw new TypeError("this is no TLS handshake");
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > 16_384 + 256) throw new TypeError("this is no TLS record");
    const fragment = bytes.subarray(at + 5, at + 5 + length);
    fragments.push(fragment);
    have += fragment.length;
    if (have >= 4) {
      const message = fragments.length === 1 ? fragment : Buffer.concat(fragments);
      if (message[0] !== 1) throw new TypeError("the first message is no ClientHello");
      const wanted = 4 + message.readUIntBE(1, 3);
      if (wanted > most) throw new TypeError("the ClientHello is too long");
      if (message.length >= wanted) return readHello(message.subarray(4, wanted));
    }
    if (fragment.length < length) return undefined;
    at += 5 + length;
  }
}

function readHello(body: Buffer): ClientHello {
  let serverName = "";
  let protocols: readonly string[] = [];
  let at = 2 + 32;
  const skip = (size: number): void => {
    const length = size === 1 ? body.readUInt8(at) : body.readUInt16BE(at);
    at += size + length;
  };
  try {
    skip(1); // session id
    skip(2); // cipher suites
    skip(1); // compression methods
    if (at === body.length) return { serverName, protocols };
    const end = at + 2 + body.readUInt16BE(at);
    for (at += 2; at + 4 <= Math.min(end, body.length);) {
      const type = body.readUInt16BE(at);
      const length = body.readUInt16BE(at + 2);
      const content = body.subarray(at + 4, at + 4 + length);
      if (type === 0) serverName = serverNameOf(content);
      else if (type === 16) protocols = protocolsOf(content);
      at += 4 + length;
    }
    return { serverName, protocols };
  } catch (error) {
    if (error instanceof RangeError) throw new TypeError("the ClientHello is malformed", { cause: error });
    throw error;
  }
}

/** A list of one name of type host_name. */
function serverNameOf(content: Buffer): string {
  if (content.length < 5 || content[2] !== 0) throw new TypeError("the server name is malformed");
  const text = content.subarray(5, 5 + content.readUInt16BE(3)).toString("latin1");
  if (!/^[\x21-\x7e]{1,255}$/.test(text)) throw new TypeError("the server name is malformed");
  return text.toLowerCase().replace(/\.$/, "");
}

function protocolsOf(content: Buffer): string[] {
  const end = 2 + content.readUInt16BE(0);
  const protocols: string[] = [];
  for (let at = 2; at < end; at += 1 + content.readUInt8(at)) {
    const length = content.readUInt8(at);
    protocols.push(content.subarray(at + 1, at + 1 + length).toString("latin1"));
  }
  return protocols;
}

/**
 * Waits for a connection's ClientHello; its bytes are put back, for whoever takes the connection. Calls `done` once: with
 * `undefined` when there is none within `timeout` milliseconds, or no TLS at all.
 */
export function readClientHello(socket: Socket, timeout: number, done: (hello: ClientHello | undefined) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => settle(undefined), timeout);
  const settle = (hello: ClientHello | undefined): void => {
    clearTimeout(timer);
    socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
    if (chunks.length > 0) socket.unshift(Buffer.concat(chunks));
    done(hello);
  };
  const onEnd = (): void => settle(undefined);
  const onReadable = (): void => {
    for (;;) {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      chunks.push(chunk);
      size += chunk.length;
      try {
        const hello = parseClientHello(chunks.length === 1 ? chunk : Buffer.concat(chunks));
        if (hello) return settle(hello);
        if (size > most + 1024) return settle(undefined);
      } catch {
        return settle(undefined);
      }
    }
  };
  socket.on("readable", onReadable).once("end", onEnd).once("close", onEnd);
}
