import { expect, test } from "vitest";
import type { Pod } from "../../kube/index.ts";
import { droppedCapabilities } from "./capabilities.ts";
import { sysctlFault, sysctlsOf } from "./sysctls.ts";

test.each([
  [{}, []],
  [{ drop: ["NET_RAW", "CAP_KILL"] }, ["kill", "net_raw"]],
  [{ drop: ["NET_RAW", "KILL"], add: ["KILL"] }, ["net_raw"]],
  [{ drop: ["NONE_SUCH", "--reuid=0"] }, []],
  [{ drop: ["ALL"], add: ["ALL"] }, []],
] as const)("capabilities %j", (capabilities, expected) => {
  expect(droppedCapabilities({ name: "c", securityContext: { capabilities } as never })).toEqual(expected);
});

test("all capabilities but those that are added; a privileged container keeps them", () => {
  const capabilities = { drop: ["ALL"], add: ["NET_BIND_SERVICE"] };
  const dropped = droppedCapabilities({ name: "c", securityContext: { capabilities } });
  expect(dropped).toHaveLength(40);
  expect(dropped).not.toContain("net_bind_service");
  expect(droppedCapabilities({ name: "c", securityContext: { capabilities, privileged: true } })).toEqual([]);
});

const pod = (name: string, more: Partial<Pod["spec"]> = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p" },
  spec: { containers: [], securityContext: { sysctls: [{ name, value: "1 2" }] }, ...more },
});

test("sysctls of the pod's own network are set, others are refused", () => {
  const range = pod("net.ipv4.ip_local_port_range");
  expect(sysctlFault(range)).toBeUndefined();
  expect(sysctlsOf(range)).toEqual([{ path: "/proc/sys/net/ipv4/ip_local_port_range", value: "1 2" }]);
  expect(sysctlsOf(pod("net/ipv4/tcp_syncookies"))).toHaveLength(1);
  for (const name of ["kernel.msgmax", "net.ipv4.ip_forward", "net.ipv4.../kernel", "kernel.shm_rmid_forced"]) {
    expect(sysctlFault(pod(name))).toBe(`forbidden sysctl: "${name}" not allowlisted`);
    expect(sysctlsOf(pod(name))).toEqual([]);
  }
  expect(sysctlFault(pod("net.ipv4.tcp_rmem", { hostNetwork: true }))).toContain("not allowed with host net enabled");
});
