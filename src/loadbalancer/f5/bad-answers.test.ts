import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Exposure } from "../provider/contract.ts";
import { converge } from "../provider/converge.ts";
import { createProvider } from "./provider.ts";

const secret = "bigip-correct-horse";
const token = "TOKEN-that-nobody-sees";
const signal = new AbortController().signal;
const web: Exposure = {
  key: { cluster: "lab", namespace: "ns", name: "web", uid: "u1" },
  families: ["IPv4"],
  ports: [{ name: "", protocol: "TCP", port: 80, nodePort: 30_080 }],
  targets: [{ node: "a", addresses: ["10.0.0.1"] }],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
};

type Answer = (response: ServerResponse) => void;
const json =
  (value: unknown, status = 200, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof value === "string" ? value : JSON.stringify(value));
  };
const usual: Record<string, Answer> = {
  "/mgmt/shared/authn/login": json({ token: { token } }),
  "/mgmt/shared/appsvcs/info": json({ version: "3.52.0" }),
  "/mgmt/shared/appsvcs/task": json({ items: [] }),
};
let answers: Record<string, Answer> = {};
let server: Server;
let url = "";

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const answer = answers[`${request.method} ${path}`] ?? answers[path] ?? usual[path] ?? json({ code: 404 }, 404);
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

const make = (more: object = {}, desired = web) => {
  const config = { url, username: "admin", password: secret, addresses: ["192.0.2.1-192.0.2.2"], pollMs: 10, ...more };
  return converge(createProvider(config), desired, signal);
};
const login = "/mgmt/shared/authn/login";
const tenant = "/mgmt/shared/appsvcs/declare/fairlead_lab";
const task = "/mgmt/shared/appsvcs/task";

describe("answers that are wrong are named, and no secret is", () => {
  test.each<[string, string, Answer, string, RegExp]>([
    ["a wrong password", login, json({ message: `not ${secret}` }, 401), "Credentials", /401: not \*\*\*/],
    ["a login without a token", login, json({ token: {} }), "Broken", /token\.token: a text is needed, not nothing/],
    ["a login that is cut off", login, json('{"token'), "Broken", /no JSON/],
    ["no AS3", "/mgmt/shared/appsvcs/info", json({}, 404), "Refused", /has no AS3/],
    [
      "a tenant that is a text",
      tenant,
      json({ fairlead_lab: "x" }),
      "Broken",
      /fairlead_lab: a map is needed, not a text/,
    ],
    [
      "an application that says half of whose it is",
      tenant,
      json(applicationWith({ namespace: 7 })),
      "Broken",
      /svc\.constants\.namespace/,
    ],
    [
      "an application without its address",
      tenant,
      json(applicationWith({ address: null })),
      "Broken",
      /svc\.constants\.address/,
    ],
    ["tasks that are a map", task, json({ items: {} }), "Broken", /items: a list is needed/],
    ["a task without an id", `POST ${tenant}`, json({}, 202), "Broken", /id: a text is needed/],
    ["a BIG-IP that is busy", `POST ${tenant}`, json({ code: 503, message: "busy" }, 503), "Throttled", /503: busy/],
    [
      "one that failed for a tenant",
      `POST ${tenant}`,
      json({ results: [{ code: 422, message: "declaration failed", response: "0107: no" }] }, 207),
      "Refused",
      /422: declaration failed: 0107: no/,
    ],
    [
      "a declaration that is invalid",
      `POST ${tenant}`,
      json({ code: 422, errors: ["/x: should be y"] }, 422),
      "Refused",
      /\/x: should be y/,
    ],
    ["a token in an error", `POST ${tenant}`, json({ message: `bad ${token}` }, 400), "Refused", /bad \*\*\*/],
    ["a 500 without JSON", `POST ${tenant}`, json("<html>", 500), "Unavailable", /answered 500$/],
    ["a list as the answer", tenant, json([]), "Broken", /a map is needed, not a list/],
    ["a redirect", tenant, json({}, 302, { location: "http://evil.example/" }), "Broken", /answered 302/],
    ["a connection that breaks", tenant, (response) => response.destroy(), "Unavailable", /127\.0\.0\.1/],
  ])("%s", async (_, path, answer, reason, words) => {
    answers = { [path]: answer };
    const result = await make();
    expect(result).toMatchObject({ state: "failed", reason });
    expect("message" in result ? result.message : "").toMatch(words);
    expect(JSON.stringify(result)).not.toMatch(new RegExp(`${secret}|${token}`));
  });

  test("an answer that never begins is not waited for", async () => {
    answers = { [tenant]: () => {} };
    expect(await make({ timeoutMs: 300 })).toMatchObject({ state: "failed", reason: "Unavailable" });
  });

  test("no address is free, or another has the one that is asked for", async () => {
    const others = (...all: string[]) =>
      json({ fairlead_lab: Object.assign({}, ...all.map((address, i) => named(`svc${i}`, { address }))) as object });
    answers = { [tenant]: others("192.0.2.1", "192.0.2.2") };
    expect(await make()).toMatchObject({ state: "failed", reason: "Quota", message: /all addresses are taken/ });
    answers = { [tenant]: others("192.0.2.9") };
    const wants = await make({}, { ...web, requestedAddress: "192.0.2.9" });
    expect(wants).toMatchObject({ state: "failed", reason: "Refused", message: /belongs to Service other\/one/ });
  });
});

describe("configurations that are wrong are named", () => {
  test.each<[string, object, RegExp]>([
    ["no URL", { url: undefined }, /config\.url is missing/],
    ["a URL of another scheme", { url: "ftp://x" }, /config\.url: a URL with http or https/],
    ["a URL with a password", { url: "https://a:b@x" }, /config\.url: .*without user/],
    ["addresses that are none", { addresses: ["10.0.0.300"] }, /config\.addresses: not an address pool/],
    ["addresses that are a text", { addresses: "10.0.0.0/24" }, /config\.addresses: a list is needed/],
    ["a name that there is not", { tennant: "x" }, /config\.tennant is unknown/],
    ["a number that is none", { pollMs: "5" }, /config\.pollMs: a number is needed, not a text/],
    ["a file that is not there", { passwordFile: "/nowhere/at/all" }, /config\.passwordFile: .*ENOENT/],
  ])("%s", (_, more, words) => {
    const config = { url, username: "admin", password: secret, ...more };
    expect(() => createProvider(config)).toThrow(words);
  });
});

function named(name: string, more: object) {
  const constants = {
    class: "Constants",
    cluster: "lab",
    namespace: "other",
    name: "one",
    uid: "u2",
    address: "192.0.2.7",
    ...more,
  };
  return { [name]: { class: "Application", constants } };
}
function applicationWith(more: object) {
  return { fairlead_lab: { class: "Tenant", ...named("svc", more) } };
}
