import { describe, expect, it } from "vitest";
import { parseReference, parseTarget } from "./reference.ts";

describe("parseReference", () => {
  it.each([
    ["10.0.0.7", { kind: "address", address: "10.0.0.7" }],
    ["FD00::1", { kind: "address", address: "fd00::1" }],
    ["[fd00::1]", { kind: "address", address: "fd00::1" }],
    ["pod/shop/web-1", { kind: "pod", namespace: "shop", name: "web-1" }],
    ["svc/web", { kind: "service", namespace: "default", name: "web" }],
    ["node/n1", { kind: "node", name: "n1" }],
    ["web.shop.svc.cluster.local.", { kind: "name", name: "web.shop.svc.cluster.local" }],
    ["outside", { kind: "outside" }],
  ])("%s", (text, reference) => expect(parseReference(text, "default")).toEqual(reference));

  it.each(["", "deployment/web", "pod/a/b/c", "node/a/b", "pod/Bad_Name", "a b", "-x", "10.0.0.1/24", "service/"])(
    "refuses %j with what is wrong and what would be right",
    (text) =>
      expect(() => parseReference(text, "default")).toThrow(
        expect.objectContaining({ code: "BAD_REFERENCE", remedy: expect.stringContaining("pod/NAMESPACE/NAME") }),
      ),
  );
});

describe("parseTarget", () => {
  it.each([
    ["10.0.0.7:80", { reference: { kind: "address", address: "10.0.0.7" }, port: 80 }],
    ["10.0.0.7:80/udp", { reference: { kind: "address", address: "10.0.0.7" }, port: 80, protocol: "UDP" }],
    ["[fd00::1]:53/UDP", { reference: { kind: "address", address: "fd00::1" }, port: 53, protocol: "UDP" }],
    ["fd00::1", { reference: { kind: "address", address: "fd00::1" } }],
    ["service/shop/web:http", { reference: { kind: "service", namespace: "shop", name: "web" }, port: "http" }],
    ["service/shop/web", { reference: { kind: "service", namespace: "shop", name: "web" } }],
    ["service/tcp", { reference: { kind: "service", namespace: "default", name: "tcp" } }],
    ["service/shop/tcp", { reference: { kind: "service", namespace: "shop", name: "tcp" } }],
    ["service/shop/dns/udp", { reference: { kind: "service", namespace: "shop", name: "dns" }, protocol: "UDP" }],
    ["service/shop/tcp:80", { reference: { kind: "service", namespace: "shop", name: "tcp" }, port: 80 }],
    ["web.shop:443/tcp", { reference: { kind: "name", name: "web.shop" }, port: 443, protocol: "TCP" }],
  ])("%s", (text, target) => expect(parseTarget(text, "default")).toEqual(target));

  it.each(["10.0.0.7:0", "10.0.0.7:70000", "10.0.0.7:", "web:Not_A_Port", ":80", "10.0.0.7:80/icmp"])(
    "refuses %j",
    (text) => expect(() => parseTarget(text, "default")).toThrow(expect.objectContaining({ code: "BAD_REFERENCE" })),
  );
});
