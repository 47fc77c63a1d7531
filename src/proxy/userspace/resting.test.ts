import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createServiceModel, type ProxyContext } from "../../services/index.ts";
import { createLogger, FakeClock } from "../../system/index.ts";
import { createUserspaceBackend } from "./backend.ts";
import { createResting } from "./resting.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["127.0.0.1"] },
  podCidrs: ["127.42.0.0/16"],
  serviceCidrs: ["127.96.0.0/16"],
};

test("user space that serves again goes on with the listeners it had, and their clients are led as it says", async () => {
  const stop = new AbortController();
  const servers = ["first", "second"].map((word) => createServer((socket) => socket.end(word)).listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const [first = 0, second = 0] = servers.map((server) => (server.address() as AddressInfo).port);
  const free = createServer().listen(0, "127.96.3.1");
  await once(free, "listening");
  const { port } = free.address() as AddressInfo;
  free.close();

  const plan = (to: number) => {
    const model = createServiceModel(context);
    const metadata = { namespace: "default", name: "web" };
    model.upsertService({
      metadata,
      spec: { clusterIP: "127.96.3.1", ports: [{ port, protocol: "TCP", targetPort: to }] },
    } as never);
    model.upsertSlice({
      metadata: { namespace: "default", name: "web-a", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      ports: [{ name: "", port: to, protocol: "TCP" }],
      endpoints: [{ addresses: ["127.0.0.1"] }],
    } as never);
    return model.plan("default/web");
  };
  const said = async (): Promise<string> => {
    const socket = connect({ host: "127.96.3.1", port });
    let text = "";
    socket.on("data", (data) => (text += String(data)));
    const failed = once(socket, "error").then(([error]) => String((error as NodeJS.ErrnoException).code));
    return Promise.race([once(socket, "close").then(() => text), failed]);
  };

  const [clock, resting] = [new FakeClock(), createResting()];
  const parts = { context, signal: stop.signal, clock, log: createLogger({ level: "silent" }), resting };
  const serve = async (to: number) => {
    const backend = createUserspaceBackend(parts);
    backend.update("default/web", plan(to));
    backend.start();
    await backend.settled();
    return backend;
  };
  const one = await serve(first);
  expect(await said()).toBe("first");
  await one.retire();
  expect(await said()).toBe("first");
  const two = await serve(second);
  expect(two.frontends("default/web")).toMatchObject([{ port }]);
  expect(two.frontends("default/web")[0]?.problem).toBeUndefined();
  expect(await said()).toBe("second");
  await clock.advance(2_000);
  await two.retire();
  // The time of the first one is over, that of the second is not.
  await clock.advance(2_000);
  expect(await said()).toBe("second");
  await clock.advance(2_000);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(await said()).toBe("ECONNREFUSED");
  stop.abort();
  for (const server of servers) server.close();
});
