import { expect, test } from "vitest";
import type { ApiHandler, ApiRequest, ApiResponse } from "../apiserver/index.ts";
import { resources, statusError } from "../kube/index.ts";
import { createLocalClient } from "./local.ts";

const user = { name: "system:admin", groups: ["system:masters"] };
const object = (status: number, body: object): ApiResponse => ({
  type: "object",
  status,
  headers: {},
  object: body,
  bytes: () => [],
});

test("requests go to the handler with the user, refusals come back as StatusError", async () => {
  const seen: ApiRequest[] = [];
  const handler: ApiHandler = {
    handle: async (request) => {
      seen.push(request);
      return request.method === "GET"
        ? object(404, statusError("NotFound", "no").status)
        : object(201, { metadata: { name: "x" } });
    },
  };
  const client = createLocalClient(handler, user);
  await expect(client.get(resources.Lease, { namespace: "a", name: "x" })).rejects.toMatchObject({
    reason: "NotFound",
  });
  await client.create(resources.Lease, { metadata: { namespace: "a", name: "x" }, spec: {} });
  expect(seen[1]).toMatchObject({ method: "POST", path: "/apis/coordination.k8s.io/v1/namespaces/a/leases", user });
  expect(seen.every(({ signal }) => signal.aborted)).toBe(true);
});

test("a watch passes shared objects on, and its end reaches the server", async () => {
  const frame = {
    type: "ADDED",
    object: { apiVersion: "v1", kind: "Pod", metadata: { name: "p" } },
    bytes: () => new Uint8Array(),
  } as const;
  let server: AbortSignal | undefined;
  const handler: ApiHandler = {
    handle: async ({ signal }) => {
      server = signal;
      const each = async function* () {
        yield frame;
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("gone"))));
      };
      const taken = { take: () => undefined, more: async () => {}, done: false, close: () => {} };
      return { type: "watch", status: 200, headers: {}, frames: { ...taken, [Symbol.asyncIterator]: each } };
    },
  };
  const stop = new AbortController();
  for await (const event of createLocalClient(handler, user).watch(resources.Pod, { signal: stop.signal })) {
    if (event.type !== "BOOKMARK") expect(event.object).toBe(frame.object);
    setImmediate(() => stop.abort());
  }
  expect(server?.aborted).toBe(true);
});
