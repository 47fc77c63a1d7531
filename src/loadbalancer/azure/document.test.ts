import { describe, expect, test } from "vitest";
import type { Exposure } from "../provider/contract.ts";
import { shape } from "../provider/shape.ts";
import { desiredOf, partName, type AzureSettings } from "./desired.ts";
import { ownersIn, ownerTags, partIn, withoutPart, withPart } from "./document.ts";

const settings: AzureSettings = {
  subscription: "s",
  resourceGroup: "g",
  location: "l",
  virtualNetwork: "net",
  subnet: "nodes",
  securityGroup: "",
  internal: true,
  floatingIp: true,
  zones: [],
  healthPort: 10_256,
};
const exposure = (uid: string): Exposure => ({
  key: { cluster: "lab", namespace: "ns", name: "n".repeat(253), uid },
  families: ["IPv4"],
  ports: [{ name: "", protocol: "TCP", port: 80 }],
  targets: [{ node: "a", addresses: ["10.0.0.1"] }],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
});
const desired = (uid: string) => desiredOf(exposure(uid), settings);

describe("the document of a load balancer", () => {
  test("has the parts of each Service, and whose they are; a new one of the second leaves the first", () => {
    const first = withPart(undefined, desired("u-1"), settings);
    const both = withPart(shape(first), desired("u-2"), settings);
    expect(ownersIn(shape(both)).map(({ uid }) => uid)).toEqual(["u-1", "u-2"]);
    const [one, name] = [desired("u-1"), partName(exposure("u-1").key)];
    expect(partIn(shape(both), name, true)).toMatchObject({
      rules: one.rules,
      probes: one.probes,
      backends: one.backends,
    });
    expect(withoutPart(shape(both), exposure("u-2").key)).toEqual(first);
    expect(withoutPart(shape(first), exposure("u-1").key)).toBeUndefined();
  });

  test("keeps what others have, and drops what only Azure writes", () => {
    const found = {
      id: "/x",
      name: "x",
      type: "t",
      etag: "e",
      location: "l",
      sku: { name: "Standard" },
      properties: {
        provisioningState: "Succeeded",
        resourceGuid: "r",
        outboundRules: [{ name: "out", etag: "e", properties: { provisioningState: "Succeeded", protocol: "All" } }],
        frontendIPConfigurations: [
          { name: "theirs", etag: "e", type: "t", properties: { loadBalancingRules: [{ id: "/y" }] } },
        ],
      },
    };
    const next = withPart(shape(found), desired("u-1"), settings);
    expect(next).not.toHaveProperty("etag");
    expect(next["properties"]).toMatchObject({
      outboundRules: [{ name: "out", properties: { protocol: "All" } }],
      frontendIPConfigurations: [{ name: "theirs", properties: {} }, { name: partName(exposure("u-1").key) }],
    });
    expect(JSON.stringify(next)).not.toMatch(/provisioningState|resourceGuid|"etag"|"\/y"/);
    // It was there before: it is not ours to remove.
    const left = withoutPart(shape({ ...found, ...next, etag: "f" }), exposure("u-1").key);
    expect(left?.["properties"]).toMatchObject({
      frontendIPConfigurations: [{ name: "theirs" }],
      loadBalancingRules: [],
    });
  });

  test("a frontend that is there is left as it is, so that its address stays", () => {
    const first = withPart(undefined, desired("u-1"), settings) as {
      properties: { frontendIPConfigurations: object[] };
    };
    const given = structuredClone(first);
    Object.assign(given.properties.frontendIPConfigurations[0] ?? {}, {
      properties: { privateIPAddress: "10.0.0.9", subnet: { id: "/A/B" } },
    });
    const next = withPart(shape(given), desired("u-1"), settings);
    expect(next["properties"]).toMatchObject({
      frontendIPConfigurations: [{ properties: { privateIPAddress: "10.0.0.9" } }],
    });
    // Azure's ids have no case.
    expect(partIn(shape(given), partName(exposure("u-1").key), true)?.frontend?.subnet).toBe("/a/b");
  });

  test("more tags than Azure takes are a quota, and a SKU that cannot do it is refused", () => {
    const tags = Object.fromEntries(Array.from({ length: 49 }, (_, i) => [`t${i}`, "x"]));
    const found = (more: object) => shape({ location: "l", sku: { name: "Standard" }, properties: {}, ...more });
    expect(() => withPart(found({ tags }), desired("u-1"), settings)).toThrow(/holds 50 tags/);
    expect(() => withPart(found({ sku: { name: "Basic" } }), desired("u-1"), settings)).toThrow(/Standard is needed/);
  });

  test("tags that somebody has changed name nobody", () => {
    const { key } = exposure("u-1");
    const tags = ownerTags(key);
    expect(Object.values(tags).every((value) => value.length <= 256)).toBe(true);
    expect(ownersIn(shape({ tags }))).toEqual([key]);
    const [first = ""] = Object.keys(tags);
    expect(ownersIn(shape({ tags: { ...tags, [first]: '["lab","other","name","u"]' } }))).toEqual([]);
    expect(ownersIn(shape({ tags: { [first]: "[7" } }))).toEqual([]);
    expect(ownersIn(shape({}))).toEqual([]);
  });
});
