// A load balancer provider in one file, to begin from: it keeps each load balancer as a JSON file in a folder, as a cloud would keep it behind
// its API, and takes two calls for each: create, then wait until it is active. Try it against the contract:
//   fairlead provider test examples/provider/files.mjs --provider-config '{"folder":"/tmp/balancers"}'
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What is compared: everything but where the file is. */
const wantedOf = ({ families, ports, targets, sourceRanges, sessionAffinity }) => ({
  families,
  ports,
  targets,
  sourceRanges,
  sessionAffinity,
});

export async function createProvider({ folder, vip = "192.0.2." } = {}) {
  if (typeof folder !== "string") throw new Error("configuration: folder is missing");
  await mkdir(folder, { recursive: true });
  // Only the key decides the name: after a crash the same file is found again.
  const fileOf = ({ cluster, uid }) => join(folder, `${cluster}-${uid}.json`);
  const read = async (file) => {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch (error) {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }
  };
  const write = async (file, value) => {
    await writeFile(`${file}.new`, JSON.stringify(value));
    await rename(`${file}.new`, file);
  };
  const all = async () => {
    const names = (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
    return Promise.all(names.map((name) => read(join(folder, name))));
  };

  return {
    name: "files",
    loadBalancerClass: "example.com/files",
    capabilities: {
      families: ["IPv4"],
      protocols: ["TCP", "UDP"],
      mixedProtocols: true,
      sourceRanges: true,
      sessionAffinity: true,
      requestedAddress: false,
      localPolicy: false,
      withoutNodePorts: false,
      mostPorts: 100,
      annotations: [],
    },
    async list(cluster) {
      return (await all()).filter((one) => one?.key.cluster === cluster).map(({ key }) => key);
    },
    observe: (key) => read(fileOf(key)),
    plan(desired, observed) {
      const wanted = wantedOf(desired);
      if (!observed) {
        return [
          { summary: "create the load balancer", input: { action: "create", key: desired.key, wanted } },
          { summary: "wait until it is active", input: { action: "activate", key: desired.key } },
        ];
      }
      const steps = [];
      if (JSON.stringify(observed.wanted) !== JSON.stringify(wanted)) {
        steps.push({ summary: "update the load balancer", input: { action: "update", key: desired.key, wanted } });
      }
      if (observed.state !== "active") {
        steps.push({ summary: "wait until it is active", input: { action: "activate", key: desired.key } });
      }
      return steps;
    },
    planRemoval: ({ key }) => [{ summary: "delete the load balancer", input: { action: "delete", key } }],
    async apply({ input: { action, key, wanted } }) {
      const file = fileOf(key);
      const found = await read(file);
      if (action === "delete") await rm(file, { force: true });
      else if (action === "create" && !found) {
        const taken = new Set((await all()).map((one) => one?.address));
        let last = 1;
        while (taken.has(`${vip}${last}`)) last++;
        if (last > 254) return { state: "failed", reason: "Quota", message: "all addresses are taken" };
        await write(file, { key, wanted, state: "creating", address: `${vip}${last}` });
      } else if (action === "update" && found) await write(file, { ...found, wanted });
      else if (action === "activate" && found?.state === "creating") {
        // As with a real one: it is under way, and the next look finds it done.
        await write(file, { ...found, state: "active" });
        return { state: "pending", message: "it is being made", again: 20 };
      }
      return { state: "done" };
    },
    addresses: ({ state, address }) => (state === "active" ? [{ ip: address, ipMode: "Proxy" }] : []),
  };
}
