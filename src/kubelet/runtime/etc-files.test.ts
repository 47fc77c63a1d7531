import { expect, test } from "vitest";
import { hostsFile, resolvConf } from "./etc-files.ts";

test("resolvConf: words that could begin a line of their own are left out", () => {
  const dns = { servers: ["10.96.0.10", "1\nsearch evil"], searches: ["a.b", "c"], options: ["ndots:5"] };
  expect(resolvConf(dns)).toBe("nameserver 10.96.0.10\nsearch a.b c\noptions ndots:5\n");
  expect(resolvConf({ servers: [], searches: [], options: [] })).toBe("\n");
});

test("hostsFile: localhost, the pod, its aliases", () => {
  const config = {
    podUid: "u",
    namespace: "d",
    name: "p",
    attempt: 0,
    hostname: "web-1",
    names: ["web-1.s.d.svc.cluster.local", "web-1"],
    hostNetwork: false,
    hostPorts: [],
    dns: { servers: [], searches: [], options: [] },
    hostAliases: [
      { ip: "192.0.2.1", hostnames: ["a", "b"] },
      { ip: "192.0.2.2", hostnames: ["x\n192.0.2.3 y"] },
    ],
  };
  expect(hostsFile(config, ["10.42.0.2"], "").split("\n")).toEqual([
    "# Kubernetes-managed hosts file.",
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "10.42.0.2\tweb-1.s.d.svc.cluster.local\tweb-1",
    "",
    "# Entries added by HostAliases.",
    "192.0.2.1\ta\tb",
    "",
  ]);
  const ofNode = "127.0.0.1 localhost\n192.0.2.7 node-1\n";
  expect(hostsFile({ ...config, hostNetwork: true, hostAliases: [] }, [], ofNode)).toBe(
    `# Kubernetes-managed hosts file (host network).\n${ofNode}`,
  );
});
