import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { checkStore } from "../../src/store/index.ts";
import { check } from "./checker.ts";
import { configMapApi } from "./http-api.ts";
import { startApiServers } from "./servers.ts";
import { runWorkload, type Api } from "./workload.ts";

const clients = 8;
const kills = 6;
/** Acknowledged actions that say enough; a slow machine takes longer for them. */
const enough = 500;

test(`an API server on disk, killed ${kills} times under load, is linearizable and loses nothing`, async () => {
  const path = mkdtempSync(join(tmpdir(), "fairlead-consistency-"));
  const { servers, stop } = await startApiServers(1, { lmdb: path });
  try {
    const [server] = servers;
    if (!server) throw new Error("there is a server");
    const faults = async (): Promise<void> => {
      for (let kill = 0; kill < kills; kill++) {
        await sleep(700 + Math.random() * 800);
        await server.kill();
        await server.start();
      }
      while (acted <= enough) await sleep(100);
      await sleep(500);
    };
    let acted = 0;
    const counted = (api: Api): Api => ({
      ...api,
      async act(name, action) {
        const outcome = await api.act(name, action);
        if (outcome.type !== "unknown") acted++;
        return outcome;
      },
    });
    const history = await runWorkload({
      apis: Array.from({ length: clients }, () => counted(configMapApi(server.client))),
      watchers: 3,
      keys: 12,
      seed: 11,
      until: faults(),
      pause: 4,
    });
    expect(check(history)).toEqual([]);
    const acknowledged = history.operations.filter(({ outcome }) => outcome.type !== "unknown");
    expect(acknowledged.length).toBeGreaterThan(enough);
    expect(history.operations.length).toBeGreaterThan(acknowledged.length);
    await server.kill();
    expect((await checkStore(path)).findings).toEqual([]);
  } finally {
    await stop();
    rmSync(path, { recursive: true });
  }
});
