import { expect, it } from "vitest";
import { CommandError, type CommandRunner } from "../system/index.ts";
import { createNodeLan } from "./lan.ts";

/** Answers `ip` as a machine would on which so many namespaces and devices exist, and notes what is changed. */
function machine(namespaces: string[], devices: string[]) {
  const changes: string[] = [];
  const commands: CommandRunner = {
    async run(_file, args) {
      const line = args.join(" ");
      const done = (code: number, stdout = "") => ({ code, stdout, stderr: "" });
      if (line === "-j netns list") return done(0, JSON.stringify(namespaces.map((name) => ({ name }))));
      if (line.startsWith("link show dev ")) return done(devices.includes(args.at(-1) ?? "") ? 0 : 1);
      changes.push(line);
      return done(0);
    },
  };
  return { changes, lan: createNodeLan(commands) };
}

it("joins each further node to the bridge by a pair of devices", async () => {
  const { changes, lan } = machine([], []);
  await lan.setUp(2);
  expect(changes).toEqual([
    "link add fairlead-lan type bridge",
    "address replace 10.41.0.1/24 dev fairlead-lan",
    "link set fairlead-lan up",
    "netns add fairlead-node-2",
    "-n fairlead-node-2 link set lo up",
    "link add fairlead-lan2 type veth peer name eth0 netns fairlead-node-2",
    "-n fairlead-node-2 address replace 10.41.0.2/24 dev eth0",
    "-n fairlead-node-2 link set eth0 up",
    "-n fairlead-node-2 route replace default via 10.41.0.1",
    "link set fairlead-lan2 master fairlead-lan up",
    "link set fairlead-lan2 type bridge_slave hairpin on",
  ]);
});

it("only joins a node again that is there, and removes one too many", async () => {
  const { changes, lan } = machine(["fairlead-node-2", "fairlead-node-3", "other"], ["fairlead-lan", "fairlead-lan2"]);
  await lan.setUp(2);
  expect(changes).toEqual([
    "link delete fairlead-lan3",
    "netns delete fairlead-node-3",
    "address replace 10.41.0.1/24 dev fairlead-lan",
    "link set fairlead-lan up",
    "link set fairlead-lan2 master fairlead-lan up",
    "link set fairlead-lan2 type bridge_slave hairpin on",
  ]);
});

it("takes everything away, and nothing that is not its own", async () => {
  const { changes, lan } = machine(["fairlead-node-2", "other"], ["fairlead-lan"]);
  await lan.tearDown();
  expect(changes).toEqual(["link delete fairlead-lan2", "netns delete fairlead-node-2", "link delete fairlead-lan"]);
});

it("has nothing to take away where there is no ip", async () => {
  const run = () => Promise.reject(new CommandError("NOT_FOUND", "ip", "ip is not installed"));
  await expect(createNodeLan({ run }).tearDown()).resolves.toBeUndefined();
});
