import { readFileSync } from "node:fs";
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import type { EchoBasicSettings } from "./settings.ts";
import { tlsFacts } from "./tls-facts.ts";

const service = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho";
const methods = new Set(["Echo", "EchoTwo"]);

/** One field of a message (protobuf wire type 2): text or a message. Nothing for empty text, as in proto3. */
function field(number: number, value: string | Buffer): Buffer {
  const body = typeof value === "string" ? Buffer.from(value) : value;
  if (typeof value === "string" && body.length === 0) return Buffer.alloc(0);
  return Buffer.concat([varint((number << 3) | 2), varint(body.length), body]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** Serves `GrpcEcho`: a call is answered with what it was. */
export function serveGrpc(
  settings: EchoBasicSettings,
  say: (line: string) => void,
  fail: (error: Error) => void,
): void {
  const { address, httpPort, tlsPort, certificate, key } = settings;
  const plain = createServer();
  serve(plain);
  plain.on("error", fail).listen(httpPort, address, () => say(`plaintext server listening at ${address}:${httpPort}`));
  if (certificate && key) {
    const secure = createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) });
    serve(secure);
    secure.on("error", fail).listen(tlsPort, address, () => say(`secure server listening at ${address}:${tlsPort}`));
  }

  function serve(server: Http2Server | Http2SecureServer): void {
    server.on("sessionError", () => {});
    server.on(
      "stream",
      (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) => {
        stream.on("error", () => {});
        stream.resume();
        const path = headers[":path"] ?? "";
        const [, called, method = ""] = path.split("/");
        if (called !== service || !methods.has(method)) return refuse(stream, `unknown method ${path}`);
        say(`Received over ${"encrypted" in (stream.session?.socket ?? {}) ? "TLS" : "plaintext"}: ${path}`);
        stream.once("end", () => reply(stream, path, headers[":authority"] ?? "", rawHeaders));
      },
    );
  }

  function reply(stream: ServerHttp2Stream, path: string, authority: string, raw: readonly string[]): void {
    if (stream.destroyed) return;
    const parts = [field(1, path)];
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i] as string;
      if (name.startsWith(":") && name !== ":authority") continue;
      parts.push(field(2, Buffer.concat([field(1, name), field(2, raw[i + 1] as string)])));
    }
    const { namespace, ingress, service: name, pod } = settings.pod;
    parts.push(field(3, authority));
    parts.push(field(4, Buffer.concat([field(1, namespace), field(2, ingress), field(3, name), field(4, pod)])));
    const socket = stream.session?.socket as Partial<TLSSocket> | undefined;
    if (socket?.encrypted) {
      const facts = tlsFacts(socket as TLSSocket);
      const assertions = [
        field(1, facts.version),
        field(2, facts.negotiatedProtocol ?? ""),
        field(3, facts.serverName),
        field(4, facts.cipherSuite),
        ...(facts.peerCertificates ?? []).map((pem) => field(5, pem)),
      ];
      parts.push(field(5, Buffer.concat(assertions)));
    }
    const message = field(1, Buffer.concat(parts));
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(message.length, 1);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.concat([frame, message]));
  }
}

/** UNIMPLEMENTED (12), in a header section that is the trailer section too. */
function refuse(stream: ServerHttp2Stream, why: string): void {
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": "12",
      "grpc-message": encodeURIComponent(why),
    },
    { endStream: true },
  );
}
