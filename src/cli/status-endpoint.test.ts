import { afterEach, expect, test } from "vitest";
import { createMetrics, freePort } from "../system/index.ts";
import { startStatusEndpoint, type StatusEndpoint } from "./status-endpoint.ts";

let open: StatusEndpoint | undefined;
afterEach(() => {
  open?.close();
  open = undefined;
});

const ask = async (port: number, path: string, method = "GET"): Promise<[number, string]> => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return [answer.status, await answer.text()];
};

test("says whether the process lives, whether it does its work, and its figures", async () => {
  const port = await freePort();
  const metrics = createMetrics();
  metrics.counter("things_total", "Things.", [])().inc();
  let unready: string | undefined = "nothing is read yet";
  open = await startStatusEndpoint({
    option: "--status-address",
    at: `127.0.0.1:${port}`,
    unready: () => unready,
    metrics,
  });
  expect(await ask(port, "/healthz")).toEqual([200, "ok\n"]);
  expect(await ask(port, "/livez?verbose")).toEqual([200, "ok\n"]);
  expect(await ask(port, "/readyz")).toEqual([503, "nothing is read yet\n"]);
  unready = undefined;
  expect(await ask(port, "/readyz")).toEqual([200, "ok\n"]);
  expect((await ask(port, "/metrics"))[1]).toContain("things_total 1\n");
  expect((await ask(port, "/"))[0]).toBe(404);
  expect((await ask(port, "/healthz", "POST"))[0]).toBe(405);
});

test("an address that cannot be had is told with its option", async () => {
  const port = await freePort();
  const options = { option: "--metrics-bind-address", unready: () => undefined, metrics: createMetrics() };
  open = await startStatusEndpoint({ ...options, at: `127.0.0.1:${port}` });
  await expect(startStatusEndpoint({ ...options, at: `127.0.0.1:${port}` })).rejects.toMatchObject({
    code: "PORT_IN_USE",
    message: `--metrics-bind-address 127.0.0.1:${port}: EADDRINUSE`,
  });
  for (const at of ["", "8080", "localhost:80", "127.0.0.1:70000", "127.0.0.1:80x"])
    await expect(startStatusEndpoint({ ...options, at })).rejects.toMatchObject({ code: "USAGE" });
});
