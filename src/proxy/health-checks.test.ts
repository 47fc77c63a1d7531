import { afterEach, describe, expect, test } from "vitest";
import { silentLogger, systemClock } from "../system/index.ts";
import { createHealthChecks } from "./health-checks.ts";

const port = 31_977;
let stop = new AbortController();

function create(healthy = () => true) {
  stop = new AbortController();
  const options = { addresses: ["127.0.0.1"], signal: stop.signal, clock: systemClock, log: silentLogger };
  return createHealthChecks({ ...options, healthy });
}

afterEach(() => stop.abort());

async function ask(): Promise<{ status: number; body: unknown } | "refused"> {
  const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
  return response ? { status: response.status, body: await response.json() } : "refused";
}

test("what is made for a proxy that was stopped while it starts ends at once", async () => {
  const over = AbortSignal.abort();
  const parts = { clock: systemClock, log: silentLogger };
  const checks = createHealthChecks({ addresses: ["127.0.0.1"], signal: over, ...parts, healthy: () => true });
  checks.update("default/web", { port, localEndpoints: 1 });
  await checks.stopped;
  expect(await ask()).toBe("refused");
});

describe("health checks of Services with externalTrafficPolicy Local", () => {
  test("say 200 while there are local endpoints, and 503 when there are none or the proxy is behind", async () => {
    let healthy = true;
    const checks = create(() => healthy);
    const service = { namespace: "default", name: "web" };
    checks.update("default/web", { port, localEndpoints: 2 });
    await expect.poll(ask).toEqual({ status: 200, body: { service, localEndpoints: 2, serviceProxyHealthy: true } });
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect(await response.text()).toBe(
      '{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
    );
    expect(response.headers.get("x-load-balancing-endpoint-weight")).toBe("2");
    checks.update("default/web", { port, localEndpoints: 0 });
    expect(await ask()).toMatchObject({ status: 503 });
    checks.update("default/web", { port, localEndpoints: 1 });
    healthy = false;
    expect(await ask()).toMatchObject({ status: 503, body: { serviceProxyHealthy: false } });
    checks.update("default/web", undefined);
    await expect.poll(ask).toBe("refused");
  });
});
