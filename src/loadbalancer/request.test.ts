import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Service } from "../kube/index.ts";
import { addressAnnotations, poolAnnotations, requestOf, sharingAnnotations } from "./request.ts";

const service = (annotations: Record<string, string> = {}, spec: object = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "shop", name: "web", uid: "1", annotations },
  spec: {
    type: "LoadBalancer",
    ipFamilies: ["IPv4", "IPv6"],
    ports: [
      { port: 443, protocol: "TCP" },
      { port: 53, protocol: "UDP" },
    ],
    ...spec,
  },
});
const docs = readFileSync(new URL("../../docs/addresses.md", import.meta.url), "utf8");

describe("annotations of others are understood", () => {
  test.each(addressAnnotations)("%s asks for an address of each family", (name) => {
    const { wanted, field } = requestOf(service({ [name]: "192.0.2.7, 2001:DB8::7" }));
    expect({ wanted, field }).toEqual({
      wanted: { IPv4: "192.0.2.7", IPv6: "2001:db8::7" },
      field: `metadata.annotations[${name}]`,
    });
    for (const wrong of ["192.0.2.256", "192.0.2.1,192.0.2.2", "0.0.0.0", "a;b"])
      expect(() => requestOf(service({ [name]: wrong })), wrong).toThrow(name);
    expect(docs).toContain(`\`${name}\``);
  });

  test.each(poolAnnotations)("%s asks for a pool", (name) => {
    expect(requestOf(service({ [name]: " public " })).pool).toEqual({
      name: "public",
      field: `metadata.annotations[${name}]`,
    });
    expect(docs).toContain(`\`${name}\``);
  });

  test.each(sharingAnnotations)("%s says with whom an address is shared", (name) => {
    const key = (spec: object = {}) => requestOf(service({ [name]: "dns" }, spec)).sharing;
    expect(key()).toBe(requestOf(service({ "fairlead.dev/allow-shared-address": "dns" })).sharing);
    // With policy Local only Services of the same pods are reached through the same nodes.
    expect(key({ externalTrafficPolicy: "Local", selector: { app: "a" } })).not.toBe(
      key({ externalTrafficPolicy: "Local", selector: { app: "b" } }),
    );
    expect(() => requestOf(service({ [name]: "x".repeat(254) }))).toThrow(name);
    expect(docs).toContain(`\`${name}\``);
  });

  test("our own come first, an annotation before spec.loadBalancerIP, and an empty one is none", () => {
    const both = { "metallb.io/loadBalancerIPs": "192.0.2.2", "fairlead.dev/address": "192.0.2.1" };
    expect(requestOf(service(both, { loadBalancerIP: "192.0.2.3" })).wanted).toEqual({ IPv4: "192.0.2.1" });
    expect(requestOf(service({ "metallb.io/loadBalancerIPs": " " }, { loadBalancerIP: "192.0.2.3" })).wanted).toEqual({
      IPv4: "192.0.2.3",
    });
  });
});
