import { expect, test } from "vitest";
import { sendBytes } from "../clients.ts";
import { type Fixture, rule } from "../suite.ts";
import type { Cannots } from "./index.ts";

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";

/** Messages that two parsers may read differently (RFC 9112 section 11.2). A proxy that forwards one is a hole. */
const ambiguous: [what: string, bytes: string][] = [
  [
    "Content-Length and Transfer-Encoding",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: ${5 + smuggled.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "Transfer-Encoding and Content-Length",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "two Content-Lengths",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  ],
  [
    "a list of Content-Lengths",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0, ${smuggled.length}\r\n\r\n${smuggled}`,
  ],
  ["a signed Content-Length", `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: +5\r\n\r\n12345`],
  ["a negative Content-Length", `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: -1\r\n\r\n${smuggled}`],
  ["an empty Content-Length", `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: \r\n\r\n${smuggled}`],
  ["a hexadecimal Content-Length", `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0x5\r\n\r\n12345`],
  ["a huge Content-Length", `POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 99999999999999999999999\r\n\r\n`],
  [
    "an unknown Transfer-Encoding",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  ["a coding under chunked", `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  [
    "chunked not last",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "chunked twice",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "chunked with a vertical tab",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "Transfer-Encoding in HTTP/1.0",
    `POST / HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    "a space before the colon",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  ["a folded line", `GET / HTTP/1.1\r\nHost: shop.test\r\nX-Folded: a\r\n b\r\n\r\n`],
  ["a bare carriage return", `GET / HTTP/1.1\r\nHost: shop.test\r\nX-A: a\rX-B: b\r\n\r\n`],
  ["a NUL in a value", `GET / HTTP/1.1\r\nHost: shop.test\r\nX-A: a\0b\r\n\r\n`],
  ["an empty field name", `GET / HTTP/1.1\r\nHost: shop.test\r\n: value\r\n\r\n`],
  ["a field name with a space", `GET / HTTP/1.1\r\nHost: shop.test\r\nX A: value\r\n\r\n`],
  ["two Host fields", `GET / HTTP/1.1\r\nHost: shop.test\r\nHost: other.test\r\n\r\n`],
  ["no Host", `GET / HTTP/1.1\r\n\r\n`],
  ["a Host with a path", `GET / HTTP/1.1\r\nHost: shop.test/x\r\n\r\n`],
  ["a Host with user info", `GET / HTTP/1.1\r\nHost: a@shop.test\r\n\r\n`],
  ["a target without a slash", `GET x HTTP/1.1\r\nHost: shop.test\r\n\r\n`],
  ["a target with a fragment", `GET /#x HTTP/1.1\r\nHost: shop.test\r\n\r\n`],
  ["a target with a backslash", `GET /a\\..\\b HTTP/1.1\r\nHost: shop.test\r\n\r\n`],
  ["a target with a NUL escape", `GET /a%00b HTTP/1.1\r\nHost: shop.test\r\n\r\n`],
  ["a hidden dot segment", `GET /a/..%2fb HTTP/1.1\r\nHost: shop.test\r\n\r\n`],
  [
    "a chunk size with a sign",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\n12345\r\n0\r\n\r\n`,
  ],
  [
    "a chunk size that overflows",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\n12345\r\n0\r\n\r\n`,
  ],
  [
    "a chunk longer than its size",
    `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n12345\r\n0\r\n\r\n`,
  ],
  ["nonsense", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["HTTP/2 without its preface's end", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["HTTP/0.9", "GET /\r\n\r\n"],
  ["HTTP/3.0 on a line", "GET / HTTP/3.0\r\nHost: shop.test\r\n\r\n"],
];

export function strictnessContract(made: Fixture, cannot: Cannots): void {
  const requests: string[] = [];
  test.each(ambiguous)("%s: refused, and nothing more is read from that connection", async (what, bytes) => {
    requests.length = 0;
    const cluster = await made.lastingShop("a", (request, response) => {
      request.resume();
      request.on("end", () => {
        requests.push(request.url ?? "");
        response.end("reached the backend");
      });
      request.on("error", () => {});
    });
    const answer = await sendBytes(cluster.port("http"), bytes);
    if (cannot.refuse?.includes(what)) {
      expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
      expect(requests).not.toContain("/smuggled");
    } else {
      expect(answer).not.toMatch(/HTTP\/1\.1 [23]\d\d/);
      expect(requests).toEqual([]);
    }
  });

  test.each([
    ["CONNECT", "CONNECT shop.test:80 HTTP/1.1\r\nHost: shop.test\r\n\r\n"],
    ["TRACE", "TRACE / HTTP/1.1\r\nHost: shop.test\r\n\r\n"],
  ])("%s is not allowed", async (_method, bytes) => {
    const cluster = await made.shop("a");
    expect(await sendBytes(cluster.port("http"), bytes)).toMatch(/^HTTP\/1\.1 40[05] /);
  });

  test("the authority of an absolute target counts, and not the Host field", async () => {
    const cluster = await made.cluster();
    cluster.service("web", [await made.backend("a")]);
    cluster.service("other", [await made.backend("b")]);
    cluster.addIngress("web", { rules: [rule("web"), rule("other", { host: "other.test" })] });
    await cluster.served();
    const answer = await sendBytes(
      cluster.port("http"),
      "GET http://other.test/x?y HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
    );
    if (cannot.authority) return expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"name":"b"');
    expect(answer).toContain('"url":"/x?y"');
    expect(answer).toContain('"host":"other.test"');
  });

  test("HTTP/1.0 is served and its connection closed", async () => {
    const cluster = await made.shop("a");
    const answer = await sendBytes(cluster.port("http"), "GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n", 2000);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer.toLowerCase()).toContain("connection: close");
  });

  test("requests in one packet are answered in order", async () => {
    const cluster = await made.shop("a");
    const bytes = ["/1", "/2", "/3"]
      .map(
        (path, index) => `GET ${path} HTTP/1.1\r\nHost: shop.test\r\n${index === 2 ? "Connection: close\r\n" : ""}\r\n`,
      )
      .join("");
    const answer = await sendBytes(cluster.port("http"), bytes);
    expect([...answer.matchAll(/"url":"(\/\d)"/g)].map((found) => found[1])).toEqual(["/1", "/2", "/3"]);
  });

  test("what is wrong behind a good request is never answered in its place", async () => {
    const cluster = await made.shop("a", (_request, response) => void setTimeout(() => response.end("late"), 200));
    const answer = await sendBytes(
      cluster.port("http"),
      "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\nnonsense\r\n\r\n",
      1000,
    );
    expect(answer).not.toMatch(/^HTTP\/1\.1 4/);
  });

  test("hostile field values reach the backend as values", async () => {
    const cluster = await made.shop("a");
    const value = "$(id) `id` ${x} %0d%0aX-Evil: 1 <script>\"'";
    const answer = await sendBytes(
      cluster.port("http"),
      `GET /?q=$(id)%0d%0a HTTP/1.1\r\nHost: shop.test\r\nX-Text: ${value}\r\nConnection: close\r\n\r\n`,
    );
    const body = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1)) as {
      headers: Record<string, string>;
    };
    expect(body.headers["x-text"]).toBe(value);
    expect(body.headers).not.toHaveProperty("x-evil");
  });
}
