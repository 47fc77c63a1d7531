import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { checkGrpcHealth } from "./grpc-health.ts";

async function ask(answer: (stream: ServerHttp2Stream, body: Buffer) => void, service?: string) {
  const server = createServer();
  server.on("stream", (stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => answer(stream, Buffer.concat(chunks)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const result = await checkGrpcHealth("127.0.0.1", { port, ...(service ? { service } : {}) }, 2_000);
  server.close();
  return result;
}

const reply = (stream: ServerHttp2Stream, message: number[], status = "0"): void => {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
  stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
};

test("checkGrpcHealth: SERVING is healthy, and the service is asked for by name", async () => {
  let body = "";
  const result = await ask((stream, bytes) => {
    body = bytes.toString("hex");
    reply(stream, [0x08, 1]);
  }, "shop");
  expect(result.ok).toBe(true);
  expect(body).toBe(`00000000060a04${Buffer.from("shop").toString("hex")}`);
});

test("checkGrpcHealth: NOT_SERVING and an error status are failures", async () => {
  expect(await ask((stream) => reply(stream, [0x08, 2]))).toEqual({
    ok: false,
    message: 'service unhealthy (responded with "NOT_SERVING")',
  });
  expect(await ask((stream) => reply(stream, [], "12"))).toEqual({ ok: false, message: "rpc error: code = 12" });
});
