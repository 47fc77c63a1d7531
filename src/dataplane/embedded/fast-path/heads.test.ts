import { describe, expect, test } from "vitest";
import { readPlainRequest } from "./request-head.ts";
import { readResponseHead, readTrailers } from "./response-head.ts";
import { writeLastChunk, writeRequestHead, writeResponseHead } from "./write-head.ts";

const lines = (...each: readonly string[]): string => `${each.join("\r\n")}\r\n\r\n`;

describe("plain requests", () => {
  test("one is read with what it says", () => {
    const text = lines(
      "GET /a/b?c=d?e HTTP/1.1",
      "Host: x.test",
      "Accept:\t*/* ",
      "X-Empty:",
      "connection: Keep-Alive",
    );
    const { fields, ...rest } = readPlainRequest(text, 10_000) ?? {};
    expect(rest).toEqual({
      method: "GET",
      host: "x.test",
      path: "/a/b",
      query: "?c=d?e",
      body: "",
      rawHeaders: ["Host", "x.test", "Accept", "*/*", "X-Empty", "", "connection", "Keep-Alive"],
    });
    expect(fields?.get("accept")).toBe("*/*");
  });

  test("one with all of its body", () => {
    const text = `${lines("PUT /a HTTP/1.1", "Host: x.test", "Content-Length: 6")}a\r\n\r\n\u00ff`;
    expect(readPlainRequest(text, 10_000)).toMatchObject({ method: "PUT", body: "a\r\n\r\n\u00ff" });
  });

  test("bytes beyond ASCII stay as they are, no-break spaces at an end among them", () => {
    const text = lines("GET / HTTP/1.1", "Host: x.test", "X: \u00a0\u00e4\u00a0");
    expect(readPlainRequest(text, 10_000)?.fields.get("x")).toBe("\u00a0\u00e4\u00a0");
  });

  test.each([
    ["not whole", "GET / HTTP/1.1\r\nHost: x\r\n"],
    ["two requests", lines("GET / HTTP/1.1", "Host: x") + lines("GET / HTTP/1.1", "Host: x")],
    ["one and the beginning of another", `${lines("GET / HTTP/1.1", "Host: x")}G`],
    ["another method", lines("BREW / HTTP/1.1", "Host: x")],
    ["a POST without a length", lines("POST / HTTP/1.1", "Host: x")],
    ["half of a body", `${lines("POST / HTTP/1.1", "Host: x", "Content-Length: 3")}ab`],
    ["more than a body", `${lines("POST / HTTP/1.1", "Host: x", "Content-Length: 1")}ab`],
    ["a length with a sign", `${lines("POST / HTTP/1.1", "Host: x", "Content-Length: +1")}a`],
    ["a length in hexadecimal digits", `${lines("POST / HTTP/1.1", "Host: x", "Content-Length: 0x1")}a`],
    ["two lengths", `${lines("POST / HTTP/1.1", "Host: x", "Content-Length: 1, 1")}a`],
    ["a GET with a body", `${lines("GET / HTTP/1.1", "Host: x", "Content-Length: 1")}a`],
    ["a method in lower case", lines("get / HTTP/1.1", "Host: x")],
    ["another version", lines("GET / HTTP/1.0", "Host: x")],
    ["an absolute target", lines("GET http://x/ HTTP/1.1", "Host: x")],
    ["a fragment", lines("GET /#a HTTP/1.1", "Host: x")],
    ["a byte beyond ASCII in the target", lines("GET /\u00e4 HTTP/1.1", "Host: x")],
    ["two spaces", lines("GET  / HTTP/1.1", "Host: x")],
    ["an empty line first", `\r\n${lines("GET / HTTP/1.1", "Host: x")}`],
    ["no Host", lines("GET / HTTP/1.1", "A: b")],
    ["two Host fields", lines("GET / HTTP/1.1", "Host: x", "host: x")],
    ["a field twice", lines("GET / HTTP/1.1", "Host: x", "A: b", "a: c")],
    ["a length", lines("GET / HTTP/1.1", "Host: x", "Content-Length: 0")],
    ["a coding", lines("GET / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")],
    ["an upgrade", lines("GET / HTTP/1.1", "Host: x", "Upgrade: websocket")],
    ["an expectation", lines("GET / HTTP/1.1", "Host: x", "Expect: 100-continue")],
    ["a connection that ends", lines("GET / HTTP/1.1", "Host: x", "Connection: close")],
    ["a connection that names a field", lines("GET / HTTP/1.1", "Host: x", "A: b", "Connection: a")],
    ["a space before the colon", lines("GET / HTTP/1.1", "Host : x")],
    ["a folded line", lines("GET / HTTP/1.1", "Host: x", " y")],
    ["a line without a colon", lines("GET / HTTP/1.1", "Host: x", "y")],
    ["an empty name", lines("GET / HTTP/1.1", "Host: x", ": y")],
    ["a bare line feed", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"],
    ["a bare carriage return", "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"],
    ["a NUL", lines("GET / HTTP/1.1", "Host: x", "A: \0")],
    ["a long section", lines("GET / HTTP/1.1", "Host: x", `A: ${"a".repeat(20_000)}`)],
  ])("%s is for the other parser", (_what, text) => {
    expect(readPlainRequest(text, 10_000)).toBeUndefined();
  });
});

describe("header sections of answers", () => {
  const head = (...each: readonly string[]) => readResponseHead(each.join("\r\n"), "GET");

  test.each([
    ["a length", ["HTTP/1.1 200 OK", "Content-Length: 12"], 12, true],
    ["chunks", ["HTTP/1.1 200 OK", "Transfer-Encoding: Chunked"], "chunked", true],
    ["neither", ["HTTP/1.1 200 OK"], "close", false],
    ["no reason", ["HTTP/1.1 200", "content-length: 0"], 0, true],
    ["HTTP/1.0", ["HTTP/1.0 200 OK", "content-length: 1"], 1, false],
    ["a connection that ends", ["HTTP/1.1 200 OK", "content-length: 1", "connection: close"], 1, false],
    ["nothing to come", ["HTTP/1.1 304 Not Modified", "content-length: 5"], "none", true],
  ] as const)("%s", (_what, text, body, reusable) => {
    expect(head(...text)).toMatchObject({ body, reusable });
  });

  test("an answer to HEAD has no body", () => {
    expect(readResponseHead("HTTP/1.1 200 OK\r\ncontent-length: 9", "HEAD")).toMatchObject({ body: "none" });
  });

  test.each([
    ["two lengths", ["HTTP/1.1 200 OK", "content-length: 1", "content-length: 1"]],
    ["a length with a sign", ["HTTP/1.1 200 OK", "content-length: +1"]],
    ["a length and chunks", ["HTTP/1.1 200 OK", "content-length: 1", "transfer-encoding: chunked"]],
    ["a coding under chunked", ["HTTP/1.1 200 OK", "transfer-encoding: gzip, chunked"]],
    ["chunks in HTTP/1.0", ["HTTP/1.0 200 OK", "transfer-encoding: chunked"]],
    ["another protocol", ["HTTP/2 200 OK"]],
    ["a status of two digits", ["HTTP/1.1 20 OK"]],
    ["a folded line", ["HTTP/1.1 200 OK", "a: b", " c"]],
    ["a line feed in a value", ["HTTP/1.1 200 OK", "a: b\nc: d"]],
  ])("%s is malformed", (_what, text) => {
    expect(head(...text)).toBeUndefined();
  });

  test("trailers are held to the same rules", () => {
    expect(readTrailers("a: b\r\nc: d")).toEqual(["a", "b", "c", "d"]);
    expect(readTrailers("")).toEqual([]);
    expect(readTrailers("a: b\nc: d")).toBeUndefined();
  });
});

describe("what is written", () => {
  test("is a whole header section", () => {
    expect(writeRequestHead("GET", "/a?b", ["host", "x"])).toBe("GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(writeResponseHead(200, "OK", ["a", "b"], true)).toBe(
      "HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\n\r\n",
    );
  });

  test.each(["a\r\nb: c", "a\nb", "a\0", "\u0100"])("is nothing when a value has %j", (value) => {
    expect(writeRequestHead("GET", "/", ["host", value])).toBeUndefined();
    expect(writeResponseHead(200, "OK", ["a", value], false)).toBeUndefined();
    expect(writeResponseHead(200, value, [], false)).toBeUndefined();
    expect(writeLastChunk(["a", value])).toBe("0\r\n\r\n");
  });

  test.each(["a b", "a:", "", "a\r\n"])("is nothing when a name is %j", (name) => {
    expect(writeRequestHead("GET", "/", [name, "a"])).toBeUndefined();
  });

  test.each(["/a b", "/\r\n", "*", "", "/#"])("is nothing when the target is %j", (path) => {
    expect(writeRequestHead("GET", path, [])).toBeUndefined();
  });
});
