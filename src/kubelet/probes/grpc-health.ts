import { connect, type IncomingHttpHeaders } from "node:http2";
import { beforePort, type GRPCAction } from "../../kube/index.ts";
import type { HandlerResult } from "./handler.ts";

const serving = 1;
const names = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/**
 * Asks grpc.health.v1.Health/Check over plaintext HTTP/2. The two messages have one field each, so they are read and
 * written here instead of by a gRPC library that would be loaded for nothing else.
 */
export function checkGrpcHealth(address: string, action: GRPCAction, timeoutMs: number): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const session = connect(`http://${beforePort(address)}:${action.port}`);
    const done = (ok: boolean, message: string): void => {
      clearTimeout(timer);
      session.destroy();
      resolve({ ok, message });
    };
    const timer = setTimeout(
      () =>
        done(
          false,
          `timeout: failed to connect service "${beforePort(address)}:${action.port}" within ${timeoutMs / 1000}s`,
        ),
      timeoutMs,
    );
    session.on("error", (error: Error) => done(false, error.message));
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      "user-agent": "kube-probe/1.35",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let code: string | undefined;
    const status = (headers: IncomingHttpHeaders): void => {
      const found = headers["grpc-status"];
      if (typeof found === "string") code = found;
    };
    stream.on("response", status);
    stream.on("trailers", status);
    stream.on("data", (chunk: Buffer) => {
      if (chunks.length < 16) chunks.push(chunk);
    });
    stream.on("error", (error: Error) => done(false, error.message));
    stream.on("end", () => {
      if (code !== undefined && code !== "0") return done(false, `rpc error: code = ${code}`);
      const value = statusOf(Buffer.concat(chunks));
      return done(
        value === serving,
        `service ${value === serving ? "" : "un"}healthy (responded with "${names[value]}")`,
      );
    });
    stream.end(request(action.service ?? ""));
  });
}

/** HealthCheckRequest { string service = 1 } in a gRPC frame: not compressed, length, message. */
function request(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** HealthCheckResponse { ServingStatus status = 1 }; the field is absent when it is 0. */
function statusOf(frame: Buffer): number {
  return frame[5] === 0x08 ? (frame[6] ?? 0) : 0;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return Buffer.from([...bytes, value]);
}
