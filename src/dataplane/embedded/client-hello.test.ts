import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { connect } from "node:tls";
import { describe, expect, test } from "vitest";
import { parseClientHello } from "./client-hello.ts";

/** What a real client sends first. */
async function helloFor(servername: string, ALPNProtocols: string[] = []): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const arrived = once(server, "connection");
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    servername,
    ALPNProtocols,
  });
  client.on("error", () => {});
  const [socket] = await arrived;
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  server.close();
  return bytes;
}

describe("parseClientHello", () => {
  test("reads the server name, also when it comes byte by byte or in many records", async () => {
    const bytes = await helloFor("Www.Example.COM", ["h2", "acme-tls/1"]);
    const hello = { serverName: "www.example.com", protocols: ["h2", "acme-tls/1"] };
    expect(parseClientHello(bytes)).toEqual(hello);
    for (let length = 0; length < bytes.length; length++)
      expect(parseClientHello(bytes.subarray(0, length))).toBeUndefined();

    const message = bytes.subarray(5);
    const records: Buffer[] = [];
    for (let at = 0; at < message.length; at += 7) {
      const part = message.subarray(at, at + 7);
      records.push(Buffer.from([22, 3, 1, 0, part.length]), part);
    }
    expect(parseClientHello(Buffer.concat(records))).toEqual(hello);
  });

  test("a client that names no server", async () => {
    expect(parseClientHello(await helloFor(""))).toEqual({ serverName: "", protocols: [] });
  });

  test.each([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["an alert", Buffer.from([21, 3, 3, 0, 2, 2, 40])],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["a record that is too long", Buffer.from([22, 3, 1, 0xff, 0xff])],
    ["a message that is too long", Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])],
    ["another message", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ["a message that ends in the middle", Buffer.from([22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3])],
  ])("%s is refused", (_what, bytes) => {
    expect(() => parseClientHello(bytes)).toThrow(TypeError);
  });

  test("whatever comes, it answers or refuses", async () => {
    const bytes = await helloFor("fuzz.test");
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes);
      changed[i] = (changed[i] ?? 0) ^ 0xff;
      try {
        parseClientHello(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
      }
    }
  });
});
