import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { converge } from "./converge.ts";
import { everyProvider, secret } from "./every-provider.ts";

// Whatever the other side answers, to the first call or to those after a login: a failure with its reason, no secret in it, and nothing written.
const { signal } = new AbortController();

type Answer = (response: ServerResponse, request: IncomingMessage) => void;
const say =
  (body: string | Buffer, status = 200, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body);
  };
const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  say(JSON.stringify(value), status, headers);

const faults: readonly (readonly [string, Answer])[] = [
  ["JSON that is cut off", say('{"data":[{"id":"1')],
  ["XML that is cut off", say("<DescribeLoadBalancersResponse><DescribeLoadBalancersResult>")],
  ["nothing at all", say("")],
  ["a list", json([])],
  ["a text", json("hello")],
  ["a number", json(7)],
  ["null", json(null)],
  ["true", json(true)],
  ["lists that are maps", json({ data: {}, token: {}, versions: {}, items: {}, loadbalancers: {}, fairlead_lab: 7 })],
  [
    "entries that are numbers",
    json({ data: [7], token: 7, versions: [7], loadbalancers: [7], fairlead_lab: { svc: 7, x: { class: 7 } } }),
  ],
  ["HTML and 500", say("<html><body>Internal Server Error</body></html>", 500)],
  ["503 and when to come again", json({}, 503, { "retry-after": "7" })],
  ["429", json({}, 429)],
  ["401 that repeats the secret", json({ message: `not ${secret}`, error: { message: secret }, code: secret }, 401)],
  [
    "403 in XML that repeats the secret",
    say(`<R><Error><Code>AccessDenied</Code><Message>${secret}</Message></Error></R>`, 403),
  ],
  ["a redirect to somewhere else", say("", 302, { location: "http://192.0.2.1/" })],
  [
    "a body that never ends",
    (response) => void response.writeHead(200, { "content-type": "application/json" }).write("{"),
  ],
  ["no answer", () => {}],
  ["a connection that breaks", (response) => response.destroy()],
  ["17 MiB", say(Buffer.alloc(17 << 20, " "))],
  ["an error with control characters", json({ message: `a\u0000b\u001b[31m\nc${"x".repeat(10_000)}` }, 400)],
  ["a hundred thousand lists in each other", say("[".repeat(100_000))],
  ["bytes that are no UTF-8", say(Buffer.from([0xff, 0xfe, 0x7b, 0x80]))],
  ["entities of its own", say('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')],
];

let server: Server;
let url = "";
let answer: Answer = say("");
let login: ReadonlyMap<string, Answer> = new Map();
const writes: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const { pathname } = new URL(request.url ?? "/", "http://x");
      const isLogin = /login|token/.test(pathname) || /^Action=(Describe|Assume)/.test(body);
      if (request.method !== "GET" && !isLogin) writes.push(`${request.method} ${pathname}`);
      (login.get(pathname) ?? answer)(response, request);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

// AWS has no login: what comes later is what comes first.
const cases = everyProvider.flatMap((subject) => [
  { ...subject, when: "at first", isLate: false },
  ...(subject.login("http://x").size > 0 ? [{ ...subject, when: "after its login", isLate: true }] : []),
]);

describe.each(cases)("$name is told $when", ({ create, desired, login: loginOf, isLate }) => {
  test.each(faults)("%s", async (_, fault) => {
    const answers = isLate ? [...loginOf(url)] : [];
    login = new Map(answers.map(([path, { value, status, headers }]) => [path, json(value, status, headers)]));
    answer = fault;
    writes.length = 0;
    const result = await converge(create(url), desired, signal);
    expect(result.state).toBe("failed");
    const { reason, message } = result as Extract<typeof result, { state: "failed" }>;
    expect(["Refused", "Credentials", "Throttled", "Unavailable", "Broken"]).toContain(reason);
    expect(message.length).toBeGreaterThan(10);
    expect(message.length).toBeLessThan(800);
    expect(message).not.toMatch(/\p{Cc}/u);
    expect(JSON.stringify(result)).not.toContain(secret);
    expect(result.addresses).toBeUndefined();
    expect(writes).toEqual([]);
  });
});
