import { describe, expect, test } from "vitest";
import type { Service } from "../kube/index.ts";
import { createServiceModel, type ProxyContext } from "../services/index.ts";
import type { ProxyMode } from "./backend.ts";
import { createComplaints } from "./complaints.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["192.0.2.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};

function service(name: string, spec: Service["spec"], second = 0): Service {
  const creationTimestamp = `2026-01-01T00:00:0${second}Z`;
  const ports = [{ port: 80 }];
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name, creationTimestamp },
    spec: { ports, ...spec },
  };
}

function parts() {
  const said: string[] = [];
  const events = {
    event: (about: { metadata: { name?: string } }, _type: string, reason: string, message: string) =>
      void said.push(`${about.metadata.name ?? ""} ${reason} ${message}`),
    flush: () => Promise.resolve(),
  };
  let mode: ProxyMode = "nftables";
  const complaints = createComplaints(events, "node1", { context: () => context, mode: () => mode });
  const model = createServiceModel(context);
  const tell = () => {
    for (const key of model.keys()) complaints.update(key, model.service(key), model.plan(key), []);
    return said.splice(0);
  };
  return { model, tell, complaints, said, setMode: (next: ProxyMode) => (mode = next) };
}

describe("what is not served as asked for", () => {
  test("two Services with one external address: the younger is told who has it and why", () => {
    const { model, tell } = parts();
    model.upsertService(service("old", { clusterIP: "10.96.0.1", externalIPs: ["203.0.113.5"] }));
    model.upsertService(service("new", { clusterIP: "10.96.0.2", externalIPs: ["203.0.113.5"] }, 1));
    const conflict =
      "new FrontendConflict spec.externalIPs[0]: 203.0.113.5 80/TCP is answered for Service default/old, not for this one: " +
      "that Service is older; take another address or port";
    expect(tell()).toEqual([conflict]);
    expect(tell()).toEqual([]);
    model.removeService("default/old");
    expect(tell()).toEqual([]);
    model.upsertService(service("old", { clusterIP: "10.96.0.1", externalIPs: ["203.0.113.5"] }));
    expect(tell()).toEqual([conflict]);
  });

  test("an external address that is another's cluster IP is the other's, however old this one is", () => {
    const { model, tell } = parts();
    model.upsertService(service("thief", { clusterIP: "10.96.0.1", externalIPs: ["10.96.0.2"] }));
    model.upsertService(service("owner", { clusterIP: "10.96.0.2" }, 1));
    expect(tell()).toEqual([
      "thief FrontendConflict spec.externalIPs[0]: 10.96.0.2 80/TCP is answered for Service default/owner, not for this one: " +
        "it is that Service's cluster IP; take another address or port",
    ]);
  });

  test("what an annotation asks for and the mode cannot do", () => {
    const { model, tell, setMode } = parts();
    const plain = service("web", { clusterIP: "10.96.0.1" });
    const annotations = { "fairlead.dev/balance": "source-hash", "fairlead.dev/hold": "10" };
    model.upsertService({ ...plain, metadata: { ...plain.metadata, annotations } });
    expect(tell()).toEqual([expect.stringContaining("nftables mode refuses at once")]);
    setMode("iptables");
    expect(tell().join()).toContain("iptables mode has no such choice");
    setMode("userspace");
    expect(tell()).toEqual([]);
  });

  test("the same nodePort twice, and in one Service", () => {
    const { model, tell } = parts();
    const ports = [{ port: 80, nodePort: 30_080 }];
    model.upsertService(service("a", { type: "NodePort", clusterIP: "10.96.0.1", ports }));
    model.upsertService(service("b", { type: "NodePort", clusterIP: "10.96.0.2", ports }));
    expect(tell()).toEqual([
      "b FrontendConflict spec.ports[0].nodePort: NodePort 30080/TCP is answered for Service default/a, not for this one: " +
        "that Service's name comes first, and both are of one age; take another nodePort",
    ]);
  });

  test("what is no address, no range or leads nowhere is named; the events for one change are few", () => {
    const { model, tell, complaints, said } = parts();
    const spec = {
      type: "LoadBalancer",
      clusterIP: "10.96.0.1",
      externalIPs: ["nonsense", "224.0.0.1"],
      loadBalancerSourceRanges: ["10.0.0.0/33"],
    };
    model.upsertService(service("odd", spec));
    expect(tell()).toEqual([
      'odd FieldIgnored spec.externalIPs[0] is left out: "nonsense" is not an IP address',
      "odd FieldIgnored spec.externalIPs[1] is left out: 224.0.0.1 is unspecified, loopback, link-local or multicast: no packet can be led there",
      'odd FieldIgnored spec.loadBalancerSourceRanges[0] is left out: "10.0.0.0/33" is not a range such as 192.0.2.0/24',
    ]);
    model.upsertService(service("odd", { ...spec, externalIPs: Array.from({ length: 100 }, (_, i) => `x${i}`) }));
    expect(tell().at(-1)).toBe("odd FieldIgnored and 92 more that are not served as asked for");
    const one = {
      service: "default/odd",
      kind: "ClusterIP",
      protocol: "SCTP",
      port: 80,
      address: "10.96.0.1",
    } as const;
    complaints.update("default/odd", model.service("default/odd"), undefined, [
      { ...one, problem: "SCTP needs nftables" },
    ]);
    expect(said.at(-1)).toBe(
      "odd FrontendNotServed node node1 does not answer at 10.96.0.1 80/SCTP: SCTP needs nftables",
    );
  });
});
