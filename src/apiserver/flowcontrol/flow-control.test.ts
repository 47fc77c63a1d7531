import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createMetrics, silentLogger, type Metrics } from "../../system/index.ts";
import type { ApiResponse, Origin, UserInfo } from "../handler.ts";
import { admin, startTestApi, type TestApi } from "../test-api.ts";

const schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const levels = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
let api: TestApi;
let metrics: Metrics;

beforeEach(async () => {
  metrics = createMetrics();
  api = await startTestApi({ more: { flowControl: { seats: 270 }, metrics, log: silentLogger } });
  await vi.waitFor(async () => {
    await api.clock.advance(1000);
    expect((await api.call("GET", `${schemas}/catch-all`)).body.status?.conditions).toHaveLength(1);
  });
});
afterEach(() => api.stop());

interface Sent {
  readonly answer: Promise<ApiResponse>;
  readonly headers: Record<string, string>;
  /** The answer was sent. */
  end(): void;
  leave(): void;
}

/** A request as if it came over the network. It holds its seats until it ends. */
function send(method: "GET" | "POST", url: string, user: UserInfo, body?: () => Promise<Uint8Array>): Sent {
  const { pathname, searchParams } = new URL(url, "http://api");
  const ends: (() => void)[] = [];
  const gone = new AbortController();
  const headers: Record<string, string> = {};
  const origin: Origin = {
    auditId: "1",
    url,
    addresses: () => [],
    headers,
    ...(body ? { readBody: body } : {}),
    onEnd: (listener) => void ends.push(listener),
    giveUp: (reason) => gone.abort(reason),
  };
  const answer = api.handler.handle({
    method,
    path: pathname,
    query: searchParams,
    headers: {},
    user,
    signal: gone.signal,
    origin,
  });
  return { answer, headers, end: () => ends.splice(0).forEach((end) => end()), leave: () => gone.abort() };
}

const ordinary = (name: string): UserInfo => ({ name, groups: ["system:authenticated"] });
const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 5));
const told = async (line: string): Promise<string | undefined> =>
  (await metrics.text()).split("\n").find((one) => one.startsWith(line));

async function textOf(response: ApiResponse): Promise<string> {
  const parts: Uint8Array[] = [];
  if (response.type === "stream") for await (const chunk of response.chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

describe("the objects of flow control", () => {
  it("are upstream's, with conditions", async () => {
    const names = async (url: string) =>
      (await api.call("GET", url)).body.items.map((one: { metadata: { name: string } }) => one.metadata.name);
    expect(await names(schemas)).toEqual([
      "catch-all",
      "endpoint-controller",
      "exempt",
      "global-default",
      "kube-controller-manager",
      "kube-scheduler",
      "kube-system-service-accounts",
      "probes",
      "service-accounts",
      "system-leader-election",
      "system-node-high",
      "system-nodes",
      "workload-leader-election",
    ]);
    expect(await names(levels)).toEqual([
      "catch-all",
      "exempt",
      "global-default",
      "leader-election",
      "node-high",
      "system",
      "workload-high",
      "workload-low",
    ]);
    const { body } = await api.call("GET", `${schemas}/probes`);
    expect(body.status.conditions).toMatchObject([{ type: "Dangling", status: "False", reason: "Found" }]);
  });

  it("that are mandatory come back, the others stay as users have them", async () => {
    await api.call("DELETE", `${schemas}/exempt`);
    await api.call("DELETE", `${schemas}/probes`);
    const { body } = await api.call("GET", `${levels}/catch-all`);
    body.spec.limited.nominalConcurrencyShares = 50;
    await api.call("PUT", `${levels}/catch-all`, body);
    await vi.waitFor(async () => {
      await api.clock.advance(1000);
      expect((await api.call("GET", `${schemas}/exempt`)).status).toBe(200);
      expect((await api.call("GET", `${levels}/catch-all`)).body.spec.limited.nominalConcurrencyShares).toBe(5);
    });
    expect((await api.call("GET", `${schemas}/probes`)).status).toBe(404);
  });

  it("are not written again when nothing has changed", async () => {
    await api.clock.advance(1000);
    await nextTurn();
    const before = await api.store.revision();
    await api.clock.advance(5000);
    await nextTurn();
    expect(await api.store.revision()).toBe(before);
  });
});

describe("requests", () => {
  it("are named after what they were classified by", async () => {
    const uidOf = async (url: string) => (await api.call("GET", url)).body.metadata.uid;
    const one = send("GET", "/api/v1/namespaces", ordinary("ann"));
    await one.answer;
    expect(one.headers).toEqual({
      "x-kubernetes-pf-flowschema-uid": await uidOf(`${schemas}/global-default`),
      "x-kubernetes-pf-prioritylevel-uid": await uidOf(`${levels}/global-default`),
    });
    one.end();
    const node = send("GET", "/api/v1/nodes/a", {
      name: "system:node:a",
      groups: ["system:nodes", "system:authenticated"],
    });
    await node.answer;
    expect(node.headers["x-kubernetes-pf-flowschema-uid"]).toBe(await uidOf(`${schemas}/system-node-high`));
    node.end();
    expect(
      await told(
        'apiserver_flowcontrol_dispatched_requests_total{priority_level="node-high",flow_schema="system-node-high"}',
      ),
    ).toMatch(/ 1$/);
  });

  it("wait for seats and are turned away when too many wait; others are not held up", async () => {
    await api.call("POST", levels, {
      metadata: { name: "small" },
      spec: {
        type: "Limited",
        limited: {
          nominalConcurrencyShares: 2,
          borrowingLimitPercent: 0,
          limitResponse: { type: "Queue", queuing: { queues: 16, handSize: 1, queueLengthLimit: 3 } },
        },
      },
    });
    await api.call("POST", schemas, {
      metadata: { name: "small" },
      spec: {
        priorityLevelConfiguration: { name: "small" },
        matchingPrecedence: 1000,
        distinguisherMethod: { type: "ByUser" },
        rules: [
          {
            subjects: [
              { kind: "User", user: { name: "greedy" } },
              { kind: "User", user: { name: "modest" } },
            ],
            nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
          },
        ],
      },
    });
    const greedy = Array.from({ length: 7 }, () => send("GET", "/version", ordinary("greedy")));
    await nextTurn();
    // 270 seats, 267 shares: two seats and a bit, rounded up, are three.
    const codes = greedy.map(({ answer }) =>
      Promise.race([answer.then(({ status }) => status), nextTurn().then(() => "waits")]),
    );
    expect(await Promise.all(codes)).toEqual([200, 200, 200, "waits", "waits", "waits", 429]);
    const refused = await greedy[6]?.answer;
    expect(refused?.headers).toMatchObject({ "retry-after": "1", "content-type": "text/plain; charset=utf-8" });
    expect(refused && (await textOf(refused))).toBe("Too many requests, please try again later.\n");
    const dump = async (what: string): Promise<string[][]> => {
      const sent = send("GET", `/debug/api_priority_and_fairness/dump_${what}`, admin);
      const text = await textOf(await sent.answer);
      sent.end();
      const lines = text.split("\n");
      expect(lines.pop()).toBe("");
      return lines.map((line) => line.split(",").map((cell) => cell.trim()));
    };
    const [columns = [], ...small] = (await dump("priority_levels")).filter(([name], i) => i === 0 || name === "small");
    expect(columns.slice(0, 4)).toEqual(["PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing"]);
    expect(small).toEqual([["small", "1", "false", "false", "3", "3", "3", "1", "0", "0"]]);
    const queues = (await dump("queues")).filter(([name]) => name === "small");
    expect(queues).toHaveLength(16);
    expect(queues.flatMap(([, index = "", waiting]) => (waiting === "0" ? [] : [index, waiting]))).toHaveLength(2);
    const requests = (await dump("requests?includeRequestDetails=1")).filter(([name]) => name === "small");
    expect(requests.map((row) => row[3])).toEqual(["0", "1", "2", "-1", "-1", "-1"]);
    const queue = queues.find((row) => row[2] !== "0")?.[1];
    expect(requests.map((row) => row[2])).toEqual([queue, queue, queue, "-1", "-1", "-1"]);
    expect(requests.map((row) => row[9] === "0001-01-01T00:00:00Z")).toEqual([true, true, true, false, false, false]);
    expect(requests[0]?.slice(10)).toEqual(["greedy", "get", "/version", "", "", "", "", ""]);
    const stranger = send("GET", "/debug/api_priority_and_fairness/dump_requests", ordinary("ann"));
    expect((await stranger.answer).status).toBe(403);
    stranger.end();
    // Another flow of the level waits in its own queue, and is the next but one at the latest.
    const modest = send("GET", "/version", ordinary("modest"));
    await nextTurn();
    greedy[0]?.end();
    greedy[1]?.end();
    expect((await modest.answer).status).toBe(200);
    // Other levels, and those who are exempt, do not notice.
    expect((await send("GET", "/version", ordinary("ann")).answer).status).toBe(200);
    expect((await send("GET", "/version", admin).answer).status).toBe(200);
    expect(
      await told(
        'apiserver_flowcontrol_rejected_requests_total{priority_level="small",flow_schema="small",reason="queue-full"}',
      ),
    ).toMatch(/ 1$/);
    // Who goes away waits no longer.
    greedy[5]?.leave();
    await greedy[5]?.answer;
    for (const one of [...greedy, modest]) one.end();
    await Promise.all(greedy.map(({ answer }) => answer));
    for (const one of greedy) one.end();
    expect(
      await told('apiserver_flowcontrol_current_executing_seats{priority_level="small",flow_schema="small"}'),
    ).toMatch(/ 0$/);
    expect(
      await told('apiserver_flowcontrol_current_inqueue_requests{priority_level="small",flow_schema="small"}'),
    ).toMatch(/ 0$/);
  });

  it("of a watch hold a seat only until it has begun", async () => {
    const watch = send("GET", "/api/v1/namespaces?watch=1", admin);
    expect((await watch.answer).type).toBe("watch");
    expect(
      await told('apiserver_flowcontrol_current_executing_requests{priority_level="exempt",flow_schema="exempt"}'),
    ).toMatch(/ 0$/);
    watch.end();
  });

  it("send their body only when they may do what they ask for", async () => {
    let read = false;
    const body = async (): Promise<Uint8Array> => {
      read = true;
      return new Uint8Array();
    };
    const refused = send("POST", "/api/v1/namespaces", ordinary("ann"), body);
    expect((await refused.answer).status).toBe(403);
    expect(read).toBe(false);
  });
});

describe("the query `timeout`", () => {
  it("must be a duration", async () => {
    const { answer } = send("GET", "/version?timeout=abc", admin);
    const response = await answer;
    expect(response.type === "object" && response.object).toMatchObject({
      code: 400,
      message: 'invalid timeout specified in the request URL - time: invalid duration "abc"',
    });
  });

  it("ends a request that takes longer", async () => {
    const late = send("POST", "/api/v1/namespaces?timeout=20ms", admin, () => new Promise(() => {}));
    const response = await late.answer;
    expect(response.type === "object" && response.object).toMatchObject({
      code: 504,
      reason: "Timeout",
      message: "Timeout: request did not complete within the allotted timeout",
    });
  });
});

describe("a server that ends", () => {
  it("lets requests end, refuses new ones, and ends watches", async () => {
    const watch = send("GET", "/api/v1/namespaces?watch=1", admin);
    const frames = await watch.answer;
    const slow = send("GET", "/version", admin);
    await slow.answer;
    const drained = api.server.drain();
    const late = await send("GET", "/version", admin).answer;
    expect(late.status).toBe(429);
    expect(late.headers["retry-after"]).toBe("5");
    expect(await textOf(late)).toBe("The apiserver is shutting down, please try again later.\n");
    const alive = send("GET", "/livez", admin);
    expect((await alive.answer).status).toBe(200);
    alive.end();
    slow.end();
    if (frames.type !== "watch") throw new Error("no watch");
    const seen: string[] = [];
    for await (const frame of frames.frames) seen.push(frame.type);
    expect(seen).toContain("ADDED");
    watch.end();
    await drained;
  });
});
