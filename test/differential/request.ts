// Raw requests: odd paths, hosts, fields and lengths. What they mean is not known here; `reading.ts` says it.
import type { Random } from "./random.ts";

export interface RawRequest {
  /** One byte for each character. */
  readonly bytes: string;
  /** Present: over TLS, with this server name. */
  readonly serverName?: string;
  /** Which listener it is for. */
  readonly to: "ingress" | "gateway" | "secure";
}

const hosts = [
  "a.test",
  "b.a.test",
  "c.b.a.test",
  "d.c.b.a.test",
  "x-y.test",
  "other.test",
  "other.example",
  "A.TEST",
  "B.a.Test",
  "a.test:80",
  "a.test:8080",
  "a.test:",
  "a.test.",
  "b.a.test.:80",
  "127.0.0.1",
  "[::1]",
  "[::1]:80",
] as const;
const oddHosts = [
  "",
  "a..test",
  ".a.test",
  "-a.test",
  "a-.test",
  "a_b.test",
  "a.test/x",
  "u@a.test",
  "a.test,b.test",
  "a.test b.test",
  "a.test:99999",
  "a.test:123456",
  "a.test:x",
  "a.test:80:80",
  "*.a.test",
  "a%2etest",
  "é.test",
  "a.test	",
  "[::1",
  "::1",
  "a.test..",
  "a.test?",
  "a.test#",
  "a.test\\",
  `${"a".repeat(64)}.test`,
  `${"a.".repeat(130)}test`,
] as const;
const segments = [
  "a",
  "b",
  "ab",
  "a.b",
  "~",
  "A",
  "a;b",
  "a+b",
  "a=b,c@d",
  "%61",
  "a%20b",
  "a%2fb",
  "a%2Fb",
  "%C3%A9",
  "%c3%a9",
] as const;
const oddSegments = [
  "",
  ".",
  "..",
  "%2e",
  "%2E%2e",
  ".%2e",
  "...",
  "..;x",
  ".;",
  "a%3Bb",
  "..%2fb",
  "..%5Cb",
  "%2e%2e%2fb",
  "%252e%252e",
  ".%2f",
  "%",
  "%6",
  "%zz",
  "%00",
  "%0a",
  "%0D%0a",
  "%7f",
  "%5C",
  "\\",
  "\\..\\b",
  "Ã©",
  "ÿ",
  "a^b",
  "a|b",
  "{a}",
  '"a"',
  "<a>",
  "$uri",
  "${path}",
  "`",
  "%25",
  "*",
  "a b",
  "",
  "%u0061",
  "[a]",
  ":80",
  "a%2",
  "%2f",
  "%2F%2F",
] as const;
const queries = [
  "",
  "",
  "",
  "?",
  "?q=1",
  "?q=2",
  "?q=1&q=2",
  "?q=2&q=1",
  "?a+b=x+y",
  "?a%20b=x%20y",
  "?q",
  "?q=",
  "?%71=1",
  "?q=1#f",
] as const;
const oddQueries = [
  "??",
  "?a=%zz",
  "?a=\\",
  "?../..",
  "?a=%00",
  "?q=%31",
  "?=1&q=1",
  "?a\xe9",
  "?&&q=1",
  "?a?b=/..",
] as const;
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

type Mutation = (random: Random, request: Parts) => void;
interface Parts {
  method: string;
  target: string;
  version: string;
  lineEnd: string;
  headers: string[];
  body: string;
}

function path(random: Random): string {
  const odd = random.chance(0.35);
  const parts = Array.from({ length: 1 + random.below(4) }, () =>
    odd && random.chance(0.5) ? random.pick(oddSegments) : random.pick(segments),
  );
  return `/${random.chance(0.08) ? "" : parts.join("/")}${random.chance(0.15) ? "/" : ""}`;
}

const lengths = [
  "+5",
  "-1",
  "0x5",
  "5, 5",
  "5,6",
  "",
  " ",
  "5 5",
  "99999999999999999999999",
  "05",
  "5.0",
  "1e1",
  "five",
] as const;
const codings = [
  "xchunked",
  "gzip, chunked",
  "chunked, identity",
  "identity",
  "\x0bchunked",
  "chunked;q=1",
  '"chunked"',
  "",
  "chunked,",
  "Chunked",
] as const;
const oddFields = [
  "X-Folded: a\r\n b",
  "X-A: a\rX-B: b",
  "X-A: a\0b",
  ": value",
  "X A: value",
  "X-A : value",
  "X-A	: value",
  "X-A",
  "X(a): b",
  "Transfer-Encoding : chunked",
  "Content-Length : 5",
  "	X-A: b",
  "X-A: ",
  "X-A: ",
  "X-A: é",
  "X-A:b",
  "X-A:	b	",
  "X-é: a",
  "X_Forwarded_For: 1.2.3.4",
  "X-Forwarded-Host: b.a.test",
  "Connection: host",
  "Connection: x-pick",
  "Expect: 100-continue",
] as const;

const mutations: readonly [Mutation, ...Mutation[]] = [
  (random, request) => void request.headers.push(random.pick(oddFields)),
  (random, request) => void request.headers.splice(0, 1, `Host: ${random.pick(oddHosts)}`),
  (_random, request) => void request.headers.splice(0, 1),
  (random, request) => void request.headers.push(`Host: ${random.pick(hosts)}`),
  (random, request) => void request.headers.push(`host: ${random.pick(["a.test", ""])}`),
  (random, request) => {
    request.method = "POST";
    request.headers.push(`Content-Length: ${random.pick(lengths)}`);
    request.body = random.pick(["12345", smuggled]);
  },
  (random, request) => {
    request.method = "POST";
    request.headers.push("Content-Length: 5", `Content-Length: ${random.pick(["5", "6", "0"])}`);
    request.body = "12345";
  },
  (random, request) => {
    request.method = "POST";
    const both = ["Transfer-Encoding: chunked", `Content-Length: ${random.pick([0, 5, 5 + smuggled.length])}`] as const;
    request.headers.push(...(random.chance(0.5) ? both : both.toReversed()));
    request.body = `0\r\n\r\n${smuggled}`;
  },
  (random, request) => {
    request.method = "POST";
    request.headers.push(`Transfer-Encoding: ${random.pick(codings)}`);
    request.body = `0\r\n\r\n${smuggled}`;
  },
  (_random, request) => {
    request.method = "POST";
    request.headers.push("Transfer-Encoding: chunked", "Transfer-Encoding: chunked");
    request.body = "0\r\n\r\n";
  },
  (random, request) => {
    request.method = "POST";
    request.headers.push("Transfer-Encoding: chunked");
    request.body = random.pick([
      "+5\r\n12345\r\n0\r\n\r\n",
      "0x5\r\n12345\r\n0\r\n\r\n",
      "3\r\n12345\r\n0\r\n\r\n",
      "5\n12345\n0\n\n",

      "fffffffffffffffff1\r\n12345\r\n0\r\n\r\n",
      "5 \r\n12345\r\n0\r\n\r\n",
      "-1\r\n\r\n0\r\n\r\n",
      "\r\n0\r\n\r\n",
    ]);
  },
  (random, request) =>
    void (request.target = `${random.pick(["http", "https", "HTTP", "ftp", "x"])}://${random.pick(hosts)}${request.target}`),
  (random, request) =>
    void (request.target = `http://${random.pick(["b.a.test", "a.test", "u@a.test", "", "x-y.test:80"])}${random.pick(["", "/", "?q=1", "/a/../b", "#f"])}`),
  (_random, request) => {
    request.method = "OPTIONS";
    request.target = "*";
  },
  (random, request) =>
    void (request.target = random.pick([
      "a",
      "",
      "a.test:80",
      "//",
      "//b.a.test/a",
      "?q=1",
      "#",
      "/a#b",
      "./a",
      "\\a",
    ])),
  (random, request) =>
    void (request.method = random.pick(["GE T", "TRACE", "CONNECT", "G\x00T", "PATCH", "HEAD", "PROPFIND", ""])),
  (random, request) =>
    void (request.version = random.pick([
      "HTTP/1.0",
      "HTTP/1.0",
      "HTTP/0.9",
      "HTTP/2.0",
      "HTTP/3.0",
      "http/1.1",
      "HTTP/1.10",
      "HTTP/01.1",
      "HTTP/1",
      "",
    ])),
  (_random, request) => void (request.lineEnd = "\n"),
  (random, request) => void request.headers.push(`X-Long: ${"x".repeat(random.pick([1_000, 7_000]))}`),
];

/** A request, nine of ten of them with nothing wrong but what path and host may have. */
export function makeRequest(random: Random): RawRequest {
  const to = random.pick(["ingress", "ingress", "gateway", "gateway", "secure"]);
  const host = random.pick(hosts);
  const parts: Parts = {
    method: random.pick(["GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE"]),
    target: path(random) + (random.chance(0.15) ? random.pick(oddQueries) : random.pick(queries)),
    version: "HTTP/1.1",
    lineEnd: "\r\n",
    headers: [`Host: ${host}`],
    body: "",
  };
  if (random.chance(0.4)) parts.headers.push(`X-Pick: ${random.pick(["1", "2", "1, 2", "12"])}`);
  if (random.chance(0.1)) parts.headers.push(`x-pick: ${random.pick(["1", "2"])}`);
  if (random.chance(0.2)) parts.headers.push(`X-Other: ${random.pick(["1", "2", "a", "A", ""])}`);
  if (parts.method === "POST") {
    if (random.chance(0.5)) {
      parts.headers.push("Content-Length: 5");
      parts.body = "12345";
    } else {
      parts.headers.push("Transfer-Encoding: chunked");
      parts.body = "3;x=y\r\n123\r\n2\r\n45\r\n0\r\n\r\n";
    }
  }
  if (random.chance(0.3)) {
    if (parts.method === "POST") {
      parts.method = "GET";
      parts.headers = parts.headers.filter((line) => !/^(?:content-length|transfer-encoding)/i.test(line));
      parts.body = "";
    }
    random.pick(mutations)(random, parts);
  }
  parts.headers.push("Connection: close");
  const { lineEnd, method, target, version } = parts;
  const head = [`${method} ${target}${version === "" ? "" : ` ${version}`}`, ...parts.headers].join(lineEnd);
  const bytes = `${head}${lineEnd}${lineEnd}${parts.body}`;
  if (to !== "secure") return { bytes, to };
  const name = /^[\w.-]+/.exec(host)?.[0].toLowerCase() ?? "a.test";
  const asked = random.chance(0.75) ? name : random.pick(["a.test", "b.a.test", "other.example"]);
  return { bytes, to, serverName: /^[\d.]+$|\.$/.test(asked) ? "a.test" : asked };
}
