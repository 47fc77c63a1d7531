import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createProvider as createAws } from "../aws/index.ts";
import { converge, type Convergence } from "./converge.ts";
import {
  assumed,
  everyProvider as all,
  awsSubject,
  azureSubject,
  privateKey,
  secret,
  service,
  type Asked,
  type Said,
  type Subject,
} from "./every-provider.ts";

// Whatever the other side answers, to the first call or to those after a login: a failure with its reason, no secret in it, and nothing written.
const { signal } = new AbortController();

type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void;
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
  [
    "400 that repeats all that it was sent",
    (response, { headers }, body) => {
      const said = `${headers.authorization ?? ""} ${JSON.stringify(headers)} ${decodeURIComponent(body.replaceAll("+", " "))} ${body}`;
      json({ message: said, detail: said, faultstring: said, error: { message: said }, error_description: said }, 400)(
        response,
        {} as IncomingMessage,
        "",
      );
    },
  ],
  ["entities of its own", say('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')],
];

/** What the other side says. */
interface OtherSide {
  /** To the login, by path or, with AWS, action. */
  readonly login: (url: string) => ReadonlyMap<string, Said>;
  /** To all but the login; undefined: the fault. */
  readonly known: (asked: Asked) => Said | undefined;
  readonly fault: Answer;
  /** Where to say how it is stopped. */
  readonly onEnd: (stop: () => void) => void;
}

/** An other side for the test that asks for it: its URL, and what has been written there. */
async function startOtherSide({ login, known, fault, onEnd }: OtherSide): Promise<{ url: string; writes: string[] }> {
  const writes: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      const { method = "", url: target = "/" } = request;
      const path = new URL(target, "http://x").pathname;
      const [, action] = /^Action=(\w+)/.exec(body) ?? [];
      const asked = { method, path, ...(action === undefined ? {} : { action }) };
      const isLogin = /login|token/.test(path) || /^(?:Describe|Assume)/.test(action ?? "");
      const said = logins.get(action ?? path) ?? known(asked);
      if (said) return say(said.body, said.status, said.headers)(response, request, body);
      if (method !== "GET" && !isLogin) writes.push(`${method} ${path}`);
      return fault(response, request, body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const logins = login(url);
  return { url, writes };
}

/** The password, also as HTTP's basic authentication has it, and lines of the key. */
const secrets = [
  secret,
  Buffer.from(`a:${secret}`).toString("base64"),
  Buffer.from(`u:${secret}`).toString("base64"),
  ...privateKey.split("\n").slice(1, 3),
];
const reasons = ["Refused", "Credentials", "Throttled", "Unavailable", "Broken", "Quota", "Conflict"];

/** Says why, in words that may stand in a condition. */
function isTold(result: Convergence): void {
  expect(["failed", "pending"]).toContain(result.state);
  const { message } = result as Extract<Convergence, { message: string }>;
  if (result.state === "failed") expect(reasons).toContain(result.reason);
  expect(message.length).toBeGreaterThan(10);
  expect(message.length).toBeLessThan(800);
  expect(message).not.toMatch(/\p{Cc}/u);
  const text = JSON.stringify(result);
  for (const one of secrets) expect(text).not.toContain(one);
}

const tokenFile = join(mkdtempSync(join(tmpdir(), "fairlead-answers-")), "token");
writeFileSync(tokenFile, secret);
afterAll(() => rmSync(dirname(tokenFile), { recursive: true, force: true }));

/** All of them, and those with other credentials. */
const everyProvider: readonly Subject[] = [
  ...all,
  {
    ...awsSubject("aws with a web identity", createAws, service, {
      roleArn: "arn:aws:iam::1:role/r",
      webIdentityTokenFile: tokenFile,
    }),
    login: () => new Map([["AssumeRoleWithWebIdentity", assumed("AssumeRoleWithWebIdentity")]]),
  },
  azureSubject("azure with a federated token", { federatedTokenFile: tokenFile }),
];

/** Only who never answers is waited for. */
const patience = (what: string, ms: number) => ({
  timeoutMs: ["a body that never ends", "no answer"].includes(what) ? ms : 10_000,
});

// Who has no login: what comes later is what comes first.
const cases = everyProvider.flatMap((subject) => [
  { ...subject, when: "at first", isLate: false },
  ...(subject.login("http://x").size > 0 ? [{ ...subject, when: "after its login", isLate: true }] : []),
]);

const nothingKnown = () => undefined;

// Beside each other: a quarter of them waits for what never comes.
describe.concurrent.each(cases)("$name is told $when", ({ create, desired, login, isLate }) => {
  test.for(faults)("%s", async ([what, fault], { onTestFinished: onEnd }) => {
    const other = { login: isLate ? login : () => new Map<string, Said>(), known: nothingKnown, fault, onEnd };
    const { url, writes } = await startOtherSide(other);
    const result = await converge(create(url, patience(what, 250)), desired, signal);
    isTold(result);
    expect(result.state).toBe("failed");
    expect(result.addresses).toBeUndefined();
    expect(writes).toEqual([]);
  });
});

/** What costs time has been seen at the first call. */
const costly = new Set(["17 MiB", "a hundred thousand lists in each other", "a body that never ends"]);

// Nothing exists, and that is said as it should be: the first that is made, and all after it, are answered so.
describe.concurrent.each(everyProvider)(
  "$name is told when it makes something",
  ({ create, desired, login, nothing }) => {
    test.for(faults.filter(([what]) => !costly.has(what)))("%s", async ([what, fault], { onTestFinished: onEnd }) => {
      const { url, writes } = await startOtherSide({ login, known: nothing, fault, onEnd });
      const result = await converge(create(url, patience(what, 600)), desired, signal);
      isTold(result);
      expect(result.addresses ?? []).toEqual([]);
      expect(writes, JSON.stringify(result)).not.toEqual([]);
      expect(writes.length).toBeLessThan(200);
    });
  },
);
