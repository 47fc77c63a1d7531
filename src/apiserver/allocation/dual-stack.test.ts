import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMemoryStore, type Store } from "../../store/index.ts";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";

const services = "/api/v1/namespaces/default/services";
const two = ["10.96.0.0/16", "fd00:10:96::/112"];
const ipv4 = /^10\.96\./;
const ipv6 = /^fd00:10:96::/;
let store: Store;
let api: TestApi;

beforeEach(async () => {
  store = createMemoryStore();
  api = await startTestApi({ store, serviceCidrs: two });
});
afterEach(() => api.stop());

const make = (name: string, spec: object = {}) =>
  api.call("POST", services, {
    metadata: { name },
    spec: { selector: { app: "web" }, ports: [{ port: 80 }], ...spec },
  });
const patch = (name: string, spec: object) => api.call("PATCH", `${services}/${name}`, { spec }, mergePatch);
const held = async () => {
  const { body } = await api.call("GET", "/apis/networking.k8s.io/v1/ipaddresses");
  const items = body.items as { metadata: { name: string }; spec: { parentRef: { name: string } } }[];
  return (name: string) =>
    items.filter(({ spec }) => spec.parentRef.name === name).map(({ metadata }) => metadata.name);
};

describe("in a cluster of two families", () => {
  it.each([
    [{}, "SingleStack", ["IPv4"], [ipv4]],
    [{ ipFamilies: ["IPv6"] }, "SingleStack", ["IPv6"], [ipv6]],
    [{ clusterIP: "fd00:10:96::77" }, "SingleStack", ["IPv6"], [/^fd00:10:96::77$/]],
    [{ ipFamilyPolicy: "PreferDualStack" }, "PreferDualStack", ["IPv4", "IPv6"], [ipv4, ipv6]],
    [{ ipFamilyPolicy: "RequireDualStack" }, "RequireDualStack", ["IPv4", "IPv6"], [ipv4, ipv6]],
    [{ ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6"] }, "RequireDualStack", ["IPv6", "IPv4"], [ipv6, ipv4]],
    [
      { ipFamilyPolicy: "PreferDualStack", clusterIPs: ["fd00:10:96::99", "10.96.0.99"], clusterIP: "fd00:10:96::99" },
      "PreferDualStack",
      ["IPv6", "IPv4"],
      [/^fd00:10:96::99$/, /^10\.96\.0\.99$/],
    ],
    [
      { ipFamilyPolicy: "PreferDualStack", clusterIP: "10.96.0.98" },
      "PreferDualStack",
      ["IPv4", "IPv6"],
      [/^10\.96\.0\.98$/, ipv6],
    ],
  ])("a Service with %j", async (spec, policy, families, addresses) => {
    const { status, body } = await make("a", spec);
    expect(status, body.message).toBe(201);
    expect(body.spec).toMatchObject({ ipFamilyPolicy: policy, ipFamilies: families });
    expect(body.spec.clusterIPs).toEqual(addresses.map((form) => expect.stringMatching(form)));
    expect(body.spec.clusterIP).toBe(body.spec.clusterIPs[0]);
    expect((await held())("a").toSorted()).toEqual(body.spec.clusterIPs.toSorted());
  });

  it("headless Services have families and no address", async () => {
    const { body } = await make("a", { clusterIP: "None", ipFamilyPolicy: "PreferDualStack" });
    expect(body.spec).toMatchObject({ clusterIPs: ["None"], ipFamilies: ["IPv4", "IPv6"] });
  });

  it("a second family comes with the policy, stays, and goes with it", async () => {
    const { body } = await make("a");
    const [first] = body.spec.clusterIPs;
    const more = await patch("a", { ipFamilyPolicy: "PreferDualStack" });
    expect(more.body.spec).toMatchObject({
      ipFamilies: ["IPv4", "IPv6"],
      clusterIPs: [first, expect.stringMatching(ipv6)],
    });
    const same = await patch("a", { sessionAffinity: "ClientIP" });
    expect(same.body.spec.clusterIPs).toEqual(more.body.spec.clusterIPs);
    const less = await patch("a", { ipFamilyPolicy: "SingleStack" });
    expect(less.body.spec).toMatchObject({ ipFamilies: ["IPv4"], clusterIPs: [first] });
    expect((await held())("a")).toEqual([first]);
  });

  it.each([
    [{ ipFamilies: ["IPv4"] }, "must be set to 'SingleStack' when releasing the secondary ipFamily"],
    [{ ipFamilies: ["IPv6", "IPv4"] }, "may not change once set"],
    [{ clusterIPs: ["10.96.0.50", "fd00:10:96::51"] }, "may not change once set"],
  ])("refuses %j of one that has both", async (change, text) => {
    await make("a", {
      ipFamilyPolicy: "PreferDualStack",
      clusterIP: "10.96.0.50",
      clusterIPs: ["10.96.0.50", "fd00:10:96::50"],
    });
    const { status, body } = await patch("a", change);
    expect(status).toBe(422);
    expect(body.message).toContain(text);
    expect((await held())("a").toSorted()).toEqual(["10.96.0.50", "fd00:10:96::50"]);
  });

  it.each([
    [
      { ipFamilies: ["IPv4", "IPv6"] },
      "must be RequireDualStack or PreferDualStack when multiple 'ipFamilies' are specified",
    ],
    [{ clusterIP: "fd00:bad::1" }, "the provided network does not match the current range"],
    [
      { clusterIP: "fd00:10:96::5", ipFamilies: ["IPv4"], ipFamilyPolicy: "PreferDualStack" },
      "expected an IPv4 value as indicated by",
    ],
  ])("refuses a Service with %j", async (spec, text) => {
    const { status, body } = await make("a", spec);
    expect(status).toBe(422);
    expect(body.message).toContain(text);
  });

  it("an address of the second family is given once, and free again", async () => {
    const spec = {
      ipFamilyPolicy: "PreferDualStack",
      clusterIP: "10.96.0.5",
      clusterIPs: ["10.96.0.5", "fd00:10:96::5"],
    };
    expect((await make("a", spec)).status).toBe(201);
    const other = { ...spec, clusterIP: "10.96.0.6", clusterIPs: ["10.96.0.6", "fd00:10:96::5"] };
    const refused = await make("b", other);
    expect(refused.body.message).toContain("failed to allocate IP fd00:10:96::5: provided IP is already allocated");
    await api.call("DELETE", `${services}/a`);
    expect((await make("b", other)).status).toBe(201);
  });

  it("the Service kubernetes has the primary family only, and the ServiceCIDR both ranges", async () => {
    expect((await api.call("GET", `${services}/kubernetes`)).body.spec.clusterIPs).toEqual(["10.96.0.1"]);
    const { body } = await api.call("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes");
    expect(body.spec.cidrs).toEqual(two);
  });
});

it("a cluster of one family that is started with two extends its ServiceCIDR, and Services stay as they are", async () => {
  const shared = createMemoryStore();
  const before = await startTestApi({ store: { ...shared, close: () => Promise.resolve() } });
  await before.call("POST", services, {
    metadata: { name: "a" },
    spec: { ports: [{ port: 80 }], selector: { a: "b" }, ipFamilyPolicy: "PreferDualStack" },
  });
  await before.stop();
  const after = await startTestApi({ store: shared, serviceCidrs: two });
  const cidr = await after.call("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes");
  expect(cidr.body.spec.cidrs).toEqual(two);
  const touched = await after.call("PATCH", `${services}/a`, { metadata: { labels: { x: "y" } } }, mergePatch);
  expect(touched.body.spec.clusterIPs).toHaveLength(1);
  const raised = await after.call(
    "PATCH",
    `${services}/a`,
    { spec: { ipFamilyPolicy: "RequireDualStack" } },
    mergePatch,
  );
  expect(raised.body.spec.clusterIPs).toEqual([touched.body.spec.clusterIP, expect.stringMatching(ipv6)]);
  await after.stop();
});
