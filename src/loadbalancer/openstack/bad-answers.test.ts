import { createServer, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { converge, type Convergence } from "../provider/converge.ts";
import type { Exposure } from "../provider/contract.ts";
import { createProvider } from "./provider.ts";

const secret = "correct-horse-battery";
const tokenId = "gAAAAAB-token-that-nobody-sees";
const signal = new AbortController().signal;

/** What each path answers; all others answer as OpenStack does where nothing is. */
let answers: Record<string, (response: ServerResponse) => void> = {};
let server: Server;
let url = "";

const json =
  (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  (response: ServerResponse) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof value === "string" ? value : JSON.stringify(value));
  };
const good = (): Record<string, (response: ServerResponse) => void> => ({
  "/v3/auth/tokens": json(tokenBody(), 201, { "x-subject-token": tokenId }),
  "/": json({ versions: [{ id: "v2.0" }, { id: "v2.26" }] }),
  "/v2/lbaas/loadbalancers": json({ loadbalancers: [], loadbalancers_links: [] }),
});
const tokenBody = () => ({
  token: {
    expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    project: { id: "p" },
    catalog: [{ type: "load-balancer", endpoints: [{ interface: "public", region_id: "R", url }] }],
  },
});

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const answer =
      answers[`${request.method} ${path}`] ?? answers[path] ?? good()[path] ?? json({ faultstring: "no" }, 404);
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const at = server.address();
  url = `http://127.0.0.1:${typeof at === "object" && at ? at.port : 0}`;
});
afterEach(() => {
  answers = {};
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const web: Exposure = {
  key: { cluster: "c", namespace: "ns", name: "web", uid: "u1" },
  families: ["IPv4"],
  ports: [{ name: "", protocol: "TCP", port: 80, nodePort: 30_080 }],
  targets: [],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
};
const make = (timeoutMs = 10_000): Promise<Convergence> => {
  const subnet = "11111111-2222-4333-8444-000000000001";
  const more = { username: "u", password: secret, project: "x", subnet, timeoutMs };
  return converge(createProvider({ authUrl: url, ...more }), web, signal);
};

const balancer = (more: object = {}) => ({
  id: "b",
  name: "n",
  provisioning_status: "ACTIVE",
  vip_address: "192.0.2.1",
  tags: ["fairlead-uid=u1", "fairlead-made=true"],
  ...more,
});
const lists = "/v2/lbaas/loadbalancers";
const token = "/v3/auth/tokens";

describe("answers that are wrong are named, and no secret is", () => {
  const cases: [string, string, () => (response: ServerResponse) => void, string, RegExp][] = [
    ["Keystone is cut off", token, () => json('{"token": {', 201, { "x-subject-token": "t" }), "Broken", /no JSON/],
    ["Keystone without a token", token, () => json(tokenBody(), 201), "Broken", /X-Subject-Token/],
    [
      "Keystone without a body",
      token,
      () => json("", 201, { "x-subject-token": "t" }),
      "Broken",
      /a map is needed, not nothing/,
    ],
    [
      "Keystone with a list",
      token,
      () => json([], 201, { "x-subject-token": "t" }),
      "Broken",
      /a map is needed, not a list/,
    ],
    ["a time that is none", token, () => bent({ expires_at: "soon" }), "Broken", /expires_at: a time/],
    [
      "a time that is a number",
      token,
      () => bent({ expires_at: 5 }),
      "Broken",
      /expires_at: a text is needed, not a number/,
    ],
    ["no project", token, () => bent({ project: null }), "Broken", /token\.project: a map is needed, not null/],
    ["a catalogue that is a text", token, () => bent({ catalog: "x" }), "Broken", /catalog: a list/],
    ["a catalogue without Octavia", token, () => bent({ catalog: [] }), "Refused", /no public endpoint/],
    ["an endpoint with another scheme", token, () => bent(endpoint("file:///etc/passwd")), "Broken", /http or https/],
    [
      "a wrong password",
      token,
      () => json({ error: { message: `not ${secret}` } }, 401),
      "Credentials",
      /401: not \*\*\*/,
    ],
    [
      "Keystone that is elsewhere",
      token,
      () => json({}, 302, { location: "http://evil.example" }),
      "Broken",
      /answered 302/,
    ],
    ["Keystone that is down", token, () => json("<html>", 503), "Unavailable", /answered 503/],
    ["Keystone that is hurried", token, () => json({}, 429, { "retry-after": "7" }), "Throttled", /429/],
    ["no versions", "/", () => json({}), "Broken", /versions: a list is needed, not nothing/],
    [
      "versions that are too old",
      "/",
      () => json({ versions: [{ id: "v1.0" }, { id: "v2.0" }] }),
      "Refused",
      /2\.5 or newer/,
    ],
    [
      "versions of another kind",
      "/",
      () => json({ versions: [{ id: "v9.1" }] }),
      "Refused",
      /does not speak version 2/,
    ],
    ["a version that is a number", "/", () => json({ versions: [{ id: 2 }] }), "Broken", /versions\[0\]\.id: a text/],
    [
      "a list that is null",
      lists,
      () => json({ loadbalancers: null }),
      "Broken",
      /loadbalancers: a list is needed, not null/,
    ],
    ["a list that is a page of HTML", lists, () => json("<html>oops</html>"), "Broken", /no JSON/],
    [
      "a load balancer without an id",
      lists,
      () => json({ loadbalancers: [balancer({ id: undefined })] }),
      "Broken",
      /loadbalancers\[0\]\.id/,
    ],
    [
      "a state that is a number",
      lists,
      () => json({ loadbalancers: [balancer({ provisioning_status: 7 })] }),
      "Broken",
      /provisioning_status/,
    ],
    [
      "an address that is a list",
      lists,
      () => json({ loadbalancers: [balancer({ vip_address: [] })] }),
      "Broken",
      /vip_address/,
    ],
    ["tags that are a map", lists, () => json({ loadbalancers: [balancer({ tags: {} })] }), "Broken", /tags: a list/],
    [
      "a fault with a token in it",
      lists,
      () => json({ faultstring: `bad ${tokenId}` }, 400),
      "Refused",
      /400: bad \*\*\*/,
    ],
    [
      "a fault over many lines",
      lists,
      () => json({ faultstring: `a\n${"b".repeat(9_999)}` }, 500),
      "Unavailable",
      /500: a b+\.\.\.$/,
    ],
    ["a fault that is a map", lists, () => json({ faultstring: {} }, 500), "Unavailable", /answered 500$/],
    [
      "a body that never ends",
      lists,
      () => (response) => void response.write("{"),
      "Unavailable",
      /no whole answer within 300 ms/,
    ],
    ["an answer that never begins", lists, () => () => {}, "Unavailable", /no whole answer within 300 ms/],
    ["a connection that breaks", lists, () => (response) => response.destroy(), "Unavailable", /127\.0\.0\.1/],
    ["a refusal of a right", lists, () => json({ faultstring: "policy" }, 403), "Credentials", /403: policy/],
    [
      "a quota",
      `POST ${lists}`,
      () => json({ faultstring: "Quota has been met" }, 403),
      "Quota",
      /create the load balancer: .*Quota/,
    ],
    [
      "hurry while making",
      `POST ${lists}`,
      () => json({}, 429, { "retry-after": "3" }),
      "Throttled",
      /create the load balancer/,
    ],
    ["a 500 while making", `POST ${lists}`, () => json({}, 500), "Unavailable", /create the load balancer/],
  ];
  test.each(cases)("%s", async (name, path, answer, reason, words) => {
    answers = { [path]: answer() };
    const result = await make(/never/.test(name) ? 300 : 10_000);
    expect(result).toMatchObject({ state: "failed", reason });
    expect("message" in result ? result.message : "").toMatch(words);
    expect(JSON.stringify(result)).not.toMatch(new RegExp(`${secret}|${tokenId}`));
    expect("message" in result ? result.message.length : 0).toBeLessThan(700);
  });

  test("how long to wait is what the other side has said", async () => {
    answers = { [lists]: json({}, 429, { "retry-after": "9" }) };
    expect(await make()).toMatchObject({ reason: "Throttled", again: 9_000 });
  });
});

const endpoint = (at: string) => ({
  catalog: [{ type: "load-balancer", endpoints: [{ interface: "public", region_id: "R", url: at }] }],
});
function bent(more: object) {
  const { token: whole } = tokenBody();
  return json({ token: { ...whole, ...more } }, 201, { "x-subject-token": tokenId });
}
