import { expect, it } from "vitest";
import { CommandError, type CommandRunner } from "../system/index.ts";
import { createNodeLan, lanName, lanNamespace } from "./lan.ts";

const cluster = lanName("/home/jane/.fairlead");
const own = (node: number) => lanNamespace(cluster, node);

/**
 * Answers `ip` as a machine would on which so many namespaces and devices exist, and notes what is changed. `leads` says where devices lead.
 */
function machine(namespaces: string[], devices: string[], leads: Record<string, string> = {}) {
  const changes: string[] = [];
  const commands: CommandRunner = {
    async run(_file, args) {
      const line = args.join(" ");
      const done = (code: number, stdout = "") => ({ code, stdout, stderr: "" });
      if (line === "-j netns list") return done(0, JSON.stringify(namespaces.map((name, id) => ({ name, id }))));
      if (line === "-j link show type veth") return done(0, JSON.stringify(devices.map((ifname) => linkOf(ifname))));
      if (line.startsWith("link show dev ")) return done(devices.includes(args.at(-1) ?? "") ? 0 : 1);
      changes.push(line);
      if (line.startsWith("link delete ")) devices.splice(devices.indexOf(args.at(-1) ?? ""), 1);
      return done(0);
    },
  };
  const linkOf = (ifname: string) => {
    const id = namespaces.indexOf(leads[ifname] ?? "");
    return id === -1 ? { ifname } : { ifname, link_netnsid: id };
  };
  return { changes, lan: createNodeLan(commands, cluster) };
}

it("joins each further node to the bridge by a pair of devices", async () => {
  const { changes, lan } = machine([], []);
  await lan.setUp(2);
  expect(changes).toEqual([
    "link add fairlead-lan type bridge",
    "address replace 10.41.0.1/24 dev fairlead-lan",
    "link set fairlead-lan up",
    `netns add ${own(2)}`,
    `-n ${own(2)} link set lo up`,
    `link add fairlead-lan2 type veth peer name eth0 netns ${own(2)}`,
    `-n ${own(2)} link set eth0 up`,
    `-n ${own(2)} address replace 10.41.0.2/24 dev eth0`,
    `-n ${own(2)} route replace default via 10.41.0.1`,
    "link set fairlead-lan2 master fairlead-lan up",
    "link set fairlead-lan2 type bridge_slave hairpin on",
  ]);
});

it("only joins a node again that is there, and removes one too many", async () => {
  const leads = { "fairlead-lan2": own(2), "fairlead-lan3": own(3) };
  const { changes, lan } = machine(
    [own(2), own(3), "other"],
    ["fairlead-lan", "fairlead-lan2", "fairlead-lan3"],
    leads,
  );
  await lan.setUp(2);
  expect(changes).toEqual([
    "link delete fairlead-lan3",
    `netns delete ${own(3)}`,
    "address replace 10.41.0.1/24 dev fairlead-lan",
    "link set fairlead-lan up",
    "link set fairlead-lan2 master fairlead-lan up",
    "link set fairlead-lan2 type bridge_slave hairpin on",
  ]);
});

it("takes everything away, and nothing that is not its own", async () => {
  const theirs = lanNamespace(lanName("/somewhere/else"), 2);
  const { changes, lan } = machine([theirs, own(2), "other"], ["fairlead-lan", "fairlead-lan2"], {
    "fairlead-lan2": own(2),
  });
  await lan.tearDown();
  expect(changes).toEqual(["link delete fairlead-lan2", `netns delete ${own(2)}`, "link delete fairlead-lan"]);
});

it("leaves the bridge to another cluster that has nodes on it now", async () => {
  const theirs = lanNamespace(lanName("/somewhere/else"), 2);
  const { changes, lan } = machine([theirs, own(2)], ["fairlead-lan", "fairlead-lan2"], { "fairlead-lan2": theirs });
  await lan.tearDown();
  expect(changes).toEqual([`netns delete ${own(2)}`]);
});

it("replaces what a cluster of another directory has left in this network, and touches none of other networks", async () => {
  const [dead, elsewhere] = [lanName("/dead"), lanName("/elsewhere")];
  const { changes, lan } = machine(
    [lanNamespace(dead, 2), lanNamespace(elsewhere, 2)],
    ["fairlead-lan", "fairlead-lan2"],
    { "fairlead-lan2": lanNamespace(dead, 2) },
  );
  await lan.setUp(2);
  expect(changes.slice(0, 2)).toEqual(["link delete fairlead-lan2", `netns delete ${lanNamespace(dead, 2)}`]);
  expect(changes).toContain(`netns add ${own(2)}`);
  expect(changes.join("\n")).not.toContain(lanNamespace(elsewhere, 2));
});

it("has nothing to take away where there is no ip", async () => {
  const run = () => Promise.reject(new CommandError("NOT_FOUND", "ip", "ip is not installed"));
  await expect(createNodeLan({ run }, cluster).tearDown()).resolves.toBeUndefined();
});
