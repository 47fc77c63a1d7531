import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Status } from "../../src/kube/index.ts";
import { printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";
import { type BadRequest, badRequests as objectRequests, bystanders } from "./cases.ts";
import { protocolRequests } from "./protocol-cases.ts";

const badRequests = [...objectRequests, ...protocolRequests];

interface Exchange {
  readonly status: number;
  readonly body: string;
}

const encode = (body: BadRequest["body"]) =>
  body === undefined
    ? undefined
    : Buffer.from(typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body)).toString(
        "base64",
      );

describe(`bad input: ${badRequests.length} wrong requests`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let before: Exchange[];
  let answers: Exchange[];
  let after: Exchange[];

  const send = async (requests: readonly Omit<BadRequest, "what" | "status" | "reason">[]): Promise<Exchange[]> => {
    const input = JSON.stringify({
      kubeconfig: cluster.kubeconfig,
      requests: requests.map(({ method, path, headers, body, anonymous }) => ({
        method,
        path,
        anonymous,
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
        body: encode(body),
      })),
    });
    const script = join(repository, "test/support/requests.mjs");
    return JSON.parse(printed(await lab.run(process.execPath, [script], { input }))) as Exchange[];
  };

  const look = () =>
    send(bystanders.map(({ path, body }) => ({ method: "GET", path: `${path}/${body.metadata.name}` })));

  /** What a wrong request could have disturbed: all that its owner wrote. Status and its version go on by themselves. */
  const essence = ({ status, body }: Exchange) => {
    const { metadata, ...rest } = JSON.parse(body) as {
      metadata: { uid: string; generation?: number };
      status?: unknown;
    };
    return { status, uid: metadata.uid, generation: metadata.generation, rest: { ...rest, status: undefined } };
  };

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
    const made = await send(bystanders.map(({ path, body }) => ({ method: "POST", path, body })));
    expect(made.map(({ status }) => status)).toEqual(bystanders.map(() => 201));
    before = await look();
    answers = await send(badRequests);
    after = await look();
  });

  afterAll(() => tearDown(lab, cluster));

  for (const [i, { what, status, reason, causes = [], message, text }] of badRequests.entries()) {
    it(`${what}: ${status} ${reason}`, () => {
      const answer = answers[i]!;
      expect(answer.status, answer.body.slice(0, 500)).toBe(status);
      if (text !== undefined) {
        expect(answer.body).toBe(text);
        return;
      }
      const body = JSON.parse(answer.body) as Status;
      expect(body).toMatchObject({ kind: "Status", apiVersion: "v1", status: "Failure", code: status });
      expect(body.reason ?? "").toBe(reason);
      const given = (body.details?.causes ?? []).map(({ field, reason: why }) => [field, why]);
      for (const cause of causes) expect(given).toContainEqual([...cause]);
      if (message) expect(body.message).toMatch(message);
    });
  }

  it("disturbed nothing", () => {
    expect(after.map(essence)).toEqual(before.map(essence));
  });

  it("left no object behind", async () => {
    const names = printed(
      await cluster.kubectl(["get", "svc,ing,secret,deploy,endpointslices,cm", "-n", "bad", "-o", "name"]),
    );
    const left = names
      .trim()
      .split("\n")
      .filter((name) => !/\/(base|fixed|kube-root-ca\.crt|base-\w+)$/.test(name));
    expect(left).toEqual([]);
  });
});

describe("input that looks wrong but is right", () => {
  let lab: Lab;
  let cluster: TestCluster;

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
  });

  afterAll(() => tearDown(lab, cluster));

  it("a ConfigMap may have the key __proto__", async () => {
    const input = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"proto"},"data":{"__proto__":"x"}}';
    printed(await cluster.kubectl(["create", "-f", "-"], { input }));
    const json = printed(await cluster.kubectl(["get", "cm", "proto", "-o", "json"]));
    expect(json).toContain('"__proto__": "x"');
  });

  it("an Ingress may name a Service that is not there, and status says so", async () => {
    const args = ["create", "ingress", "lost", "--class=fairlead", "--rule=lost.example.test/*=nowhere:80"];
    printed(await cluster.kubectl(args));
    const rows = JSON.parse(printed(await cluster.fairlead(["status", "--dir", cluster.dir, "-o", "json"]))) as {
      name: string;
      reason?: string;
    }[];
    expect(rows.find(({ name }) => name === "lost")?.reason).toContain("nowhere does not exist");
  });
});
