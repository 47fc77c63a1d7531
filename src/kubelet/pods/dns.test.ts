import { expect, test } from "vitest";
import type { Pod, PodSpec } from "../../kube/index.ts";
import { parseResolvConf, podDns } from "./dns.ts";

const settings = {
  clusterServers: ["10.96.0.10"],
  clusterDomain: "cluster.local",
  node: { servers: ["192.0.2.1"], searches: ["corp.example"], options: ["timeout:1"] },
};
const pod = (spec: Partial<PodSpec>): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", namespace: "shop" },
  spec: { containers: [], ...spec },
});
const clusterSearches = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"];

test("podDns: ClusterFirst searches the pod's namespace first", () => {
  expect(podDns(pod({}), settings)).toEqual({
    servers: ["10.96.0.10"],
    searches: clusterSearches,
    options: ["ndots:5"],
  });
});

test("podDns: with hostNetwork ClusterFirst is the node's, ClusterFirstWithHostNet is not", () => {
  expect(podDns(pod({ hostNetwork: true, dnsPolicy: "ClusterFirst" }), settings)).toEqual(settings.node);
  const kept = podDns(pod({ hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" }), settings);
  expect(kept.servers).toEqual(["10.96.0.10"]);
});

test("podDns: dnsConfig is added, its options win, and None takes nothing else", () => {
  const dnsConfig = {
    nameservers: ["192.0.2.53"],
    searches: ["example.org"],
    options: [{ name: "ndots", value: "2" }, { name: "edns0" }],
  };
  expect(podDns(pod({ dnsConfig }), settings)).toEqual({
    servers: ["10.96.0.10", "192.0.2.53"],
    searches: [...clusterSearches, "example.org"],
    options: ["ndots:2", "edns0"],
  });
  expect(podDns(pod({ dnsPolicy: "None", dnsConfig }), settings)).toEqual({
    servers: ["192.0.2.53"],
    searches: ["example.org"],
    options: ["ndots:2", "edns0"],
  });
});

test("parseResolvConf: the last search line counts, comments and blanks do not", () => {
  const text =
    "# made by hand\nnameserver 192.0.2.1\n\nsearch a\nsearch b  c\noptions ndots:1 edns0\nnameserver 192.0.2.2\n";
  expect(parseResolvConf(text)).toEqual({
    servers: ["192.0.2.1", "192.0.2.2"],
    searches: ["b", "c"],
    options: ["ndots:1", "edns0"],
  });
});
