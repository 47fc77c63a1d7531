import { describe, expect, test } from "vitest";
import { type Event, resources } from "../../src/kube/index.ts";
import { selfSigned } from "./certificates.ts";
import { send } from "./clients.ts";
import { eventually, type TestCluster } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

const made = fixture();
const web = { namespace: "shop", name: "web" };

const eventsOf = async (cluster: TestCluster): Promise<readonly Event[]> =>
  (await cluster.client.list(resources.Event)).items;

const addressesOf = async (cluster: TestCluster, name = "web") =>
  (await cluster.client.get(resources.Ingress, { namespace: "shop", name })).status?.loadBalancer?.ingress;

describe("IngressClass", () => {
  test("is made when there is none, as the default", async () => {
    const cluster = await made.cluster();
    await eventually("the class", async () => (await cluster.client.list(resources.IngressClass)).items.length === 1);
    const [found] = (await cluster.client.list(resources.IngressClass)).items;
    expect(found?.metadata).toMatchObject({
      name: "fairlead",
      annotations: { "ingressclass.kubernetes.io/is-default-class": "true" },
    });
    expect(found?.spec.controller).toBe("fairlead.dev/ingress");
  });
});

describe("status", () => {
  test("carries the addresses and the ports that answer, and 443 only with TLS", async () => {
    const cluster = await made.shop("a");
    cluster.secret("one", selfSigned(["shop.test"]));
    cluster.addIngress("tls", {
      rules: [rule("web", { host: "tls.test" })],
      tls: [{ hosts: ["tls.test"], secretName: "one" }],
    });
    const [http, https] = [cluster.port("http"), cluster.port("https")];
    await eventually("both have addresses", async () =>
      Boolean((await addressesOf(cluster)) && (await addressesOf(cluster, "tls"))),
    );
    expect(await addressesOf(cluster)).toEqual([{ ip: "127.0.0.1", ports: [{ port: http, protocol: "TCP" }] }]);
    expect((await addressesOf(cluster, "tls"))?.[0]?.ports).toEqual([
      { port: http, protocol: "TCP" },
      { port: https, protocol: "TCP" },
    ]);
  });

  test("an Ingress of another class gets none and no traffic", async () => {
    const cluster = await made.shop("a");
    cluster.client.put(resources.IngressClass, { metadata: { name: "other" }, spec: { controller: "x.test/y" } });
    cluster.addIngress("theirs", { ingressClassName: "other", rules: [rule("web", { host: "theirs.test" })] });
    await cluster.served();
    expect((await send(cluster, "/", { host: "theirs.test" })).status).toBe(404);
    expect(await addressesOf(cluster, "theirs")).toBeUndefined();
  });

  test("is taken back when the Ingress goes to another class", async () => {
    const cluster = await made.shop("a");
    await eventually("the address", async () => (await addressesOf(cluster))?.length === 1);
    cluster.client.put(resources.IngressClass, { metadata: { name: "other" }, spec: { controller: "x.test/y" } });
    await cluster.client.patch(resources.Ingress, web, {
      type: "merge",
      body: { spec: { ingressClassName: "other" } },
    });
    await eventually("no address", async () => (await addressesOf(cluster))?.length === 0);
    expect((await send(cluster, "/")).status).toBe(404);
  });

  test("is written once: nothing is written when nothing changes", async () => {
    const cluster = await made.shop("a");
    await eventually("the address", async () => (await addressesOf(cluster))?.length === 1);
    const statusWrites = () =>
      cluster.client.writes.filter((call) => call.key === "shop/web" && call.subresource === "status");
    expect(statusWrites()).toHaveLength(1);
    for (let i = 0; i < 3; i++) await cluster.served();
    cluster.ingress.refresh();
    await cluster.served();
    expect(statusWrites()).toHaveLength(1);
  });

  test("is put right when someone else changes it", async () => {
    const cluster = await made.shop("a");
    await eventually("the address", async () => (await addressesOf(cluster))?.length === 1);
    const body = { status: { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } } };
    await cluster.client.patch(resources.Ingress, web, { type: "merge", body }, { subresource: "status" });
    await eventually("the address is back", async () => (await addressesOf(cluster))?.[0]?.ip === "127.0.0.1");
  });
});

describe("events", () => {
  test("tell about each problem once, with field and remedy, and not about what settles by itself", async () => {
    const cluster = await made.cluster();
    // Applied before its Service, as in any manifest.
    cluster.addIngress("early", { rules: [rule("web")] });
    cluster.addIngress("wrong", { rules: [rule("missing", { host: "wrong.test" })], tls: [{ secretName: "nowhere" }] });
    cluster.service("web", [await made.backend("a")]);
    await eventually("two events", async () => (await eventsOf(cluster)).length === 2);
    for (let i = 0; i < 3; i++) await cluster.served();
    const events = await eventsOf(cluster);
    expect(
      events.map(({ reason, type, count, involvedObject }) => [involvedObject.name, reason, type, count]).sort(),
    ).toEqual([
      ["wrong", "SecretNotFound", "Warning", 1],
      ["wrong", "ServiceNotFound", "Warning", 1],
    ]);
    const text = events.find(({ reason }) => reason === "ServiceNotFound")?.message ?? "";
    expect(text).toContain("spec.rules[0].http.paths[0].backend.service.name");
    expect(text).toContain("create Service missing");
  });

  test("never carry a Secret's data", async () => {
    const cluster = await made.cluster();
    cluster.service("web", [await made.backend("a")]);
    cluster.secret("bad", { "tls.crt": "SECRET-TEXT", "tls.key": "SECRET-TEXT" });
    cluster.addIngress("web", { rules: [rule("web")], tls: [{ secretName: "bad" }] });
    await eventually("the event", async () => (await eventsOf(cluster)).length === 1);
    expect((await eventsOf(cluster))[0]?.reason).toBe("InvalidCertificate");
    expect(JSON.stringify(cluster.client.writes)).not.toContain("SECRET-TEXT");
  });
});

describe("changes", () => {
  test("of endpoints do not translate the Ingresses anew", async () => {
    const cluster = await made.shop("a");
    const before = cluster.ingress.current();
    const other = await made.backend("other");
    cluster.endpoints("web", [other]);
    await eventually("the new endpoint", async () => (await send(cluster, "/")).body.includes('"name":"other"'));
    expect(cluster.ingress.current()).toBe(before);
  });

  test("of Services and Secrets that no Ingress names mean nothing", async () => {
    const cluster = await made.shop("a");
    const before = cluster.ingress.current();
    cluster.service("unrelated", []);
    cluster.secret("unrelated", {});
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(cluster.ingress.current()).toBe(before);
  });

  test("that come in a burst are translated together", async () => {
    const cluster = await made.shop("a");
    const applied = new Set<unknown>();
    for (let i = 0; i < 500; i++) cluster.addIngress(`many-${i}`, { rules: [rule("web", { host: `h${i}.test` })] });
    await eventually("the last is served", async () => {
      applied.add(cluster.ingress.current());
      return (await send(cluster, "/", { host: "h499.test" })).status === 200;
    });
    expect(applied.size).toBeLessThan(50);
    expect((await send(cluster, "/", { host: "h0.test" })).status).toBe(200);
  });
});
