import { describe, expect, test } from "vitest";
import { headerObject, requestHeaders, responseHeaders } from "./headers.ts";

const client = { for: "192.0.2.1", realIp: "192.0.2.1", proto: "https", host: "shop.test", port: "443" };
const ours = [
  ["x-forwarded-for", "192.0.2.1"],
  ["x-forwarded-proto", "https"],
  ["x-forwarded-host", "shop.test"],
  ["x-forwarded-port", "443"],
  ["x-real-ip", "192.0.2.1"],
  ["x-request-id", "id-1"],
].flat();

describe("requestHeaders", () => {
  const sent = (...headers: string[]) => requestHeaders(headers, "shop.test", client, "id-1");

  test.each<[what: string, headers: string[], kept: string[]]>([
    ["keeps order, case and repetition", ["X-B", "1", "x-a", "2", "X-B", "3"], ["X-B", "1", "x-a", "2", "X-B", "3"]],
    ["writes Host itself", ["HOST", "other.test"], []],
    ["drops pseudo fields of HTTP/2", [":method", "GET", ":path", "/", "x-a", "1"], ["x-a", "1"]],
    [
      "drops what Connection names",
      ["Connection", "close, X-A ,x-b", "x-a", "1", "X-B", "2", "x-c", "3"],
      ["x-c", "3"],
    ],
    ["drops what later Connection fields name", ["x-a", "1", "Connection", "keep-alive", "Connection", "x-a"], []],
    ["keeps Content-Length", ["Content-Length", "3"], ["Content-Length", "3"]],
    [
      "drops hop-by-hop fields",
      ["Transfer-Encoding", "chunked", "Upgrade", "x", "Proxy-Connection", "x", "Expect", "100-continue"],
      [],
    ],
    [
      "drops what it says itself, however it is spelt",
      ["X-Forwarded_For", "6.6.6.6", "X_REAL_IP", "6.6.6.6", "Forwarded", "for=6.6.6.6"],
      [],
    ],
    ["keeps TE only for trailers", ["TE", "gzip;q=0.5, trailers"], ["te", "trailers"]],
    ["no TE without trailers", ["te", "gzip, xtrailers"], []],
  ])("%s", (_what, headers, kept) => {
    expect(sent(...headers)).toEqual(["host", "shop.test", ...kept, ...ours]);
  });

  test("a Connection field cannot take away what the proxy writes", () => {
    expect(sent("Connection", "x-forwarded-for, x-real-ip, host")).toEqual(["host", "shop.test", ...ours]);
  });
});

describe("responseHeaders", () => {
  const bytes = (...headers: string[]) => responseHeaders(headers.map((text) => Buffer.from(text, "latin1")));

  test.each<[what: string, headers: string[], kept: string[]]>([
    [
      "keeps order, case, repetition and bytes",
      ["Set-Cookie", "a=1", "X-É".slice(0, 2) + "a", "caf\xe9", "Set-Cookie", "b"],
      ["Set-Cookie", "a=1", "X-a", "caf\xe9", "Set-Cookie", "b"],
    ],
    ["drops hop-by-hop fields", ["Connection", "x-a", "Keep-Alive", "timeout=5", "x-a", "1", "x-b", "2"], ["x-b", "2"]],
    [
      "Transfer-Encoding decides over Content-Length",
      ["Content-Length", "9", "Transfer-Encoding", "chunked", "x-b", "2"],
      ["x-b", "2"],
    ],
    [
      "keeps Content-Length, and announces no trailers then",
      ["content-length", "9", "Trailer", "x-sum"],
      ["content-length", "9"],
    ],
    [
      "announces trailers of a chunked answer",
      ["Trailer", "x-sum", "Transfer-Encoding", "chunked"],
      ["Trailer", "x-sum"],
    ],
    ["nothing to drop", ["a", "1"], ["a", "1"]],
    ["nothing", [], []],
  ])("%s", (_what, headers, kept) => {
    expect(bytes(...headers)).toEqual(kept);
  });
});

test("headerObject gathers repeated fields, whatever their names", () => {
  const object = headerObject([
    "Set-Cookie",
    "a",
    "set-cookie",
    "b",
    "SET-COOKIE",
    "c",
    "__proto__",
    "x",
    "constructor",
    "y",
  ]);
  expect(object["set-cookie"]).toEqual(["a", "b", "c"]);
  expect(Object.keys(object)).toEqual(["set-cookie", "__proto__", "constructor"]);
});
