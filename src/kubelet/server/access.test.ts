import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import type { Client } from "../../client/index.ts";
import type { SubjectAccessReview, TokenReview } from "../../kube/index.ts";
import { FakeClock } from "../../system/index.ts";
import { createAccess } from "./access.ts";

/** An API that knows one token, whose owner may what `may` lists as `verb subresource`. */
function start(may: readonly string[]) {
  const asked: string[] = [];
  let down = false;
  const create = async (resource: { readonly kind: string }, object: unknown): Promise<unknown> => {
    if (down) throw new Error("connection refused");
    if (resource.kind === "TokenReview") {
      asked.push("token");
      const { spec } = object as TokenReview;
      const user = { username: "system:serviceaccount:ops:scraper", groups: ["system:masters"] };
      return { spec, status: spec.token === "good" ? { authenticated: true, user } : { user: {} } };
    }
    const { spec } = object as SubjectAccessReview;
    const { verb, subresource, resource: kind, name } = spec.resourceAttributes ?? {};
    asked.push(`${spec.user} ${verb} ${kind}/${subresource} ${name}`);
    return { spec, status: { allowed: may.includes(`${verb} ${subresource}`) } };
  };
  const clock = new FakeClock();
  const check = createAccess({ nodeName: "node-1", client: { create: create as Client["create"] }, clock });
  const request = (url: string, more: { token?: string; subject?: object; method?: string } = {}) =>
    check({
      url,
      method: more.method ?? "GET",
      headers: more.token === undefined ? {} : { authorization: `Bearer ${more.token}` },
      socket: { authorized: more.subject !== undefined, getPeerCertificate: () => ({ subject: more.subject }) },
    } as unknown as IncomingMessage).then(
      () => 200,
      ({ status }: { status: number }) => status,
    );
  return { asked, clock, request, setDown: (is: boolean) => (down = is) };
}

test("a token may what RBAC gives its owner on the node's subresources, whatever groups it names", async () => {
  const { request, asked } = start(["get metrics"]);
  expect(await request("/metrics/resource", { token: "good" })).toBe(200);
  expect(await request("/stats/summary", { token: "good" })).toBe(403);
  expect(await request("/pods", { token: "good" })).toBe(403);
  expect(asked).toEqual([
    "token",
    "system:serviceaccount:ops:scraper get nodes/metrics node-1",
    "system:serviceaccount:ops:scraper get nodes/stats node-1",
    "system:serviceaccount:ops:scraper get nodes/pods node-1",
    "system:serviceaccount:ops:scraper get nodes/proxy node-1",
  ]);
});

test("who shows nothing, or nothing good, is not known", async () => {
  const { request } = start(["get proxy", "get healthz"]);
  expect(await request("/healthz")).toBe(401);
  expect(await request("/healthz", { token: "bad" })).toBe(401);
  expect(await request("/healthz", { token: "x".repeat(20_000) })).toBe(401);
});

test("streams into containers are creations, also by GET", async () => {
  const { request } = start(["get proxy"]);
  expect(await request("/exec/ns/pod/c", { token: "good" })).toBe(403);
  expect(await request("/containerLogs/ns/pod/c", { token: "good" })).toBe(200);
  expect(await start(["create proxy"]).request("/exec/ns/pod/c", { token: "good" })).toBe(200);
});

test("the API server's certificate needs no question, others are asked about", async () => {
  const { request, asked, setDown } = start(["get proxy"]);
  setDown(true);
  expect(await request("/exec/ns/pod/c", { subject: { CN: "kube-apiserver-kubelet-client" } })).toBe(200);
  expect(await request("/pods", { subject: { CN: "root", O: ["system:masters", "x"] } })).toBe(200);
  expect(await request("/pods", { subject: { CN: "jane", O: "staff" } })).toBe(503);
  setDown(false);
  expect(await request("/pods", { subject: { CN: "jane", O: "staff" } })).toBe(200);
  expect(asked).toEqual(["jane get nodes/pods node-1", "jane get nodes/proxy node-1"]);
});

test("answers are remembered, refusals for less long", async () => {
  const { request, asked, clock } = start(["get metrics"]);
  const both = async () => [
    await request("/metrics/resource", { token: "good" }),
    await request("/logs/", { token: "good" }),
  ];
  expect([await both(), await both()]).toEqual([
    [200, 403],
    [200, 403],
  ]);
  expect(asked).toHaveLength(3);
  await clock.advance(31_000);
  await both();
  expect(asked.slice(3)).toEqual(["system:serviceaccount:ops:scraper get nodes/log node-1"]);
  await clock.advance(120_000);
  await both();
  expect(asked.slice(4)).toEqual(["token", "system:serviceaccount:ops:scraper get nodes/log node-1"]);
});
