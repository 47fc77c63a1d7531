import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildPrograms } from "./built.ts";
import { isReady, startTestNode, type TestNode } from "./cluster.ts";

describe("pods as processes on loopback addresses", () => {
  const programs = buildPrograms();
  let node: TestNode;

  beforeAll(async () => {
    node = await startTestNode({ programs, podCIDR: "127.42.9.0/24" });
  });
  afterAll(() => node.close());

  test("an echo pod becomes ready and answers on its own address", async () => {
    node.pod("echo", {
      containers: [
        {
          name: "web",
          image: "fairlead.dev/echo:v1",
          ports: [{ containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/readyz", port: 8080 }, periodSeconds: 1 },
        },
      ],
    });
    const pod = await node.until("echo", isReady);
    expect(pod.status).toMatchObject({ phase: "Running", podIP: "127.42.9.2", qosClass: "BestEffort" });
    const answer = (await (await fetch("http://127.42.9.2:8080/some/path?x=1")).json()) as object;
    expect(answer).toMatchObject({ pod: "echo", namespace: "default", node: "n1", path: "/some/path?x=1" });
  });
});
