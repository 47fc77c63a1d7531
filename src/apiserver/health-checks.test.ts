import { expect, it } from "vitest";
import { health } from "./discovery/health.ts";
import { healthChecks, type PartsOfHealth } from "./health-checks.ts";

const well: PartsOfHealth = {
  following: () => true,
  loaded: () => true,
  started: () => true,
  customKinds: () => undefined,
  store: () => undefined,
  leaving: () => false,
};
const failing = (parts: Partial<PartsOfHealth>): string[] =>
  healthChecks({ ...well, ...parts }).flatMap((one) => (one.check() === undefined ? [] : [one.name]));

it("each part fails the checks that are about it, and no others", () => {
  expect(failing({})).toEqual([]);
  expect(failing({ following: () => false })).toEqual(["etcd"]);
  expect(failing({ started: () => false })).toContain("poststarthook/bootstrap-controller");
  expect(failing({ loaded: () => false })).toContain("informer-sync");
  expect(failing({ customKinds: () => "lost" })).toEqual([
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
  ]);
  expect(failing({ store: () => "silent" })).toEqual(["etcd-readiness"]);
  expect(failing({ leaving: () => true })).toEqual(["shutdown"]);
});

it("a server that leaves is alive, but not ready", async () => {
  const checks = healthChecks({ ...well, leaving: () => true, loaded: () => false });
  const lines = async (endpoint: "livez" | "readyz"): Promise<string> => {
    const response = health(endpoint, "", new URLSearchParams("verbose"), checks);
    const parts: Uint8Array[] = [];
    if (response?.type === "stream") for await (const part of response.chunks) parts.push(part);
    return Buffer.concat(parts).toString();
  };
  expect(await lines("livez")).not.toContain("shutdown");
  expect(await lines("readyz")).toContain("[-]shutdown failed: reason withheld");
  expect(await lines("readyz")).toContain("[-]informer-sync failed: reason withheld");
});
