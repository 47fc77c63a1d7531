import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { createProvider } from "../../../src/loadbalancer/gce/index.ts";
import { account, project, startGce, type Gce } from "./server.mjs";
import { proxyRange } from "./http.mjs";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();

/** A machine of a Node, as its `spec.providerID` names it. */
export const machine = (name: string, zone: string, address: string) => ({
  node: name,
  addresses: [address],
  providerId: `gce://${project}/${zone}/${name}`,
});

/** What the API does wrong, how often in a row, and the reason that is told; "" for none. */
export const faults: readonly (readonly [fault: string, times: number, reason: string])[] = [
  ["busy", 3, "Unavailable"],
  ["rate", 3, "Throttled"],
  ["fail", 3, "Unavailable"],
  ["quota", 2, "Quota"],
  ["lose", 4, "Unavailable"],
  ["hang", 2, ""],
];

export type GceApi = Awaited<ReturnType<typeof openGceApi>>;

/** Compute Engine's API alone, in a server of its own, and providers that call it with a service account's key. */
export async function openGceApi() {
  const gce: Gce = await startGce(0, publicKey.export({ type: "spki", format: "pem" }).toString());
  const folder = await mkdtemp(join(tmpdir(), "fairlead-gce-"));
  const credentialsFile = join(folder, "key.json");
  const writeKey = async (more: object = {}) => {
    const key = { type: "service_account", client_email: account, private_key_id: "key-1", private_key: pem };
    await writeFile(credentialsFile, JSON.stringify({ ...key, token_uri: `${gce.url}/token`, ...more }));
  };
  await writeKey();
  const things = async () => {
    const state = await gce.state();
    expect(state.invalid).toEqual([]);
    return state.things;
  };
  return {
    gce,
    credentialsFile,
    writeKey,
    things,
    provider: (more: object = {}) =>
      createProvider({
        project,
        region: "r1",
        zone: "z1",
        nodeTags: ["nodes"],
        proxyRanges: [proxyRange],
        credentialsFile,
        endpoint: `${gce.url}/compute/v1`,
        pollMs: 10,
        timeoutMs: 30_000,
        ...more,
      }),
    /** Kinds of all that is there. */
    kinds: async () =>
      Object.keys(await things())
        .map((path) => path.split("/").slice(2, -1).join("/"))
        .sort(),
    async close() {
      gce.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
