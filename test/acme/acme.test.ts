// Certificates by ACME from pebble, Let's Encrypt's own server for tests, through a real data plane.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEventRecorder, createFakeClient, createInformers } from "../../src/client/index.ts";
import { type Acme, startAcme, startEmbedded, startGateway } from "../../src/dataplane/index.ts";
import { resources, type Secret } from "../../src/kube/index.ts";
import { gatewayResources } from "../../src/routing/index.ts";
import { createMetrics, silentLogger, systemClock } from "../../src/system/index.ts";
import { missing } from "../clients/toolchains.ts";
import { selfSigned } from "../dataplane/certificates.ts";
import { send } from "../dataplane/clients.ts";
import { type Backend, eventually, startBackend, startCluster, type TestCluster } from "../dataplane/cluster.ts";
import { rule } from "../dataplane/suite.ts";
import { putGatewayClass } from "../support/gateway-kinds.ts";
import { type Pebble, startPebble } from "./pebble.ts";

const why = await missing("go", ["version"], "apt-get install golang-go, or see go.dev");

describe.skipIf(why)(`certificates by ACME${why ? ` (skipped: ${why})` : ""}`, () => {
  let directory: string;
  let cluster: TestCluster;
  let backend: Backend;
  let pebble: Pebble;
  let acme: Acme | undefined;
  let stop = new AbortController();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "acme-"));
    backend = await startBackend("web");
    cluster = await startCluster({ onServed: () => acme?.refresh() });
    cluster.client.put(resources.IngressClass, {
      metadata: { name: "nginx" },
      spec: { controller: "k8s.io/ingress-nginx" },
    });
    cluster.service("web", [backend]);
    pebble = await startPebble(directory, { httpPort: cluster.port("http") });
    await begin();
  }, 1_600_000);

  afterAll(async () => {
    stop.abort();
    await acme?.stopped;
    await pebble?.stop();
    await cluster?.stop();
    await backend?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** Starts it, `ahead` milliseconds in the future. */
  async function begin(ahead = 0): Promise<void> {
    stop.abort();
    await acme?.stopped;
    stop = new AbortController();
    const { signal } = stop;
    const clock = { ...systemClock, now: () => Date.now() + ahead };
    acme = await startAcme({
      client: cluster.client,
      informers: createInformers(cluster.client, { signal, log: silentLogger }),
      current: () => cluster.ingress.current(),
      directory: pebble.directory,
      ca: pebble.ca,
      email: "ops@shop.test",
      account: { namespace: "shop", name: "account" },
      address: () => "127.0.0.1",
      signal,
      clock,
      log: silentLogger,
      events: createEventRecorder(cluster.client, { component: "acme", log: silentLogger }),
    });
    acme.refresh();
  }

  const annotations = { "fairlead.dev/acme": "true" };
  const secret = (name: string): Promise<Secret | undefined> =>
    cluster.client.get(resources.Secret, { namespace: "shop", name }).catch(() => undefined);
  async function certificateIn(name: string, not = ""): Promise<X509Certificate> {
    let found: X509Certificate | undefined;
    await eventuallyLong(`Secret ${name} has a certificate`, async () => {
      const text = (await secret(name))?.data?.["tls.crt"];
      if (text !== undefined) found = new X509Certificate(Buffer.from(text, "base64"));
      return found !== undefined && found.serialNumber !== not;
    });
    if (!found) throw new Error("there is none");
    return found;
  }
  const events = async (name: string, reason: string): Promise<string[]> =>
    (await cluster.client.list(resources.Event)).items
      .filter((event) => event.involvedObject.name === name && event.reason === reason)
      .map(({ message = "" }) => message);
  /** Proofs take seconds on a busy machine. */
  async function eventuallyLong(what: string, condition: () => Promise<boolean>): Promise<void> {
    for (let round = 0; round < 4; round++)
      if (
        await eventually(what, condition).then(
          () => true,
          () => false,
        )
      )
        return;
    throw new Error(
      `waited in vain: ${what}; events: ${JSON.stringify((await cluster.client.list(resources.Event)).items.map(({ message }) => message))}; pebble says: ${pebble.log().slice(-500)}`,
    );
  }
  const left = async (): Promise<string[]> =>
    [
      ...(await cluster.client.list(resources.Ingress)).items.map(({ metadata }) => metadata.name),
      ...(await cluster.client.list(resources.Service)).items.map(({ metadata }) => metadata.name),
      ...(await cluster.client.list(resources.EndpointSlice)).items.map(({ metadata }) => metadata.name),
    ].filter((name) => name.startsWith("acme-"));

  test("a certificate for all hosts of a Secret, served at once; nothing of the proof is left", async () => {
    cluster.addIngress(
      "web",
      {
        rules: [rule("web"), rule("web", { host: "www.shop.test" })],
        tls: [{ hosts: ["shop.test", "www.shop.test"], secretName: "shop-tls" }],
      },
      annotations,
    );
    const { subjectAltName, serialNumber, issuer } = await certificateIn("shop-tls");
    expect(subjectAltName).toBe("DNS:shop.test, DNS:www.shop.test");
    expect(issuer).toContain("Pebble");
    await cluster.served();
    const seen = await peerOf("www.shop.test");
    expect(seen).toBe(serialNumber);
    expect(await events("web", "CertificateIssued")).toEqual([
      "Secret shop/shop-tls has a certificate for shop.test, www.shop.test (there is none yet)",
    ]);
    expect(await left()).toEqual([]);
    expect((await secret("shop-tls"))?.type).toBe("kubernetes.io/tls");
  }, 70_000);

  async function peerOf(servername: string): Promise<string> {
    const socket = connect({ host: "127.0.0.1", port: cluster.port("https"), servername, rejectUnauthorized: false });
    try {
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      return socket.getPeerX509Certificate()?.serialNumber ?? "";
    } finally {
      socket.destroy();
    }
  }

  test("ingress-nginx's class: the proof gets past redirects, expressions and client certificates", async () => {
    cluster.secret("ca", { "ca.crt": selfSigned(["ca.test"])["tls.crt"] });
    cluster.addIngress(
      "guarded",
      {
        ingressClassName: "nginx",
        rules: [rule("web", { host: "guarded.test", path: "/(.*)", pathType: "ImplementationSpecific" })],
        tls: [{ hosts: ["guarded.test"], secretName: "guarded-tls" }],
      },
      {
        "kubernetes.io/tls-acme": "true",
        "nginx.ingress.kubernetes.io/rewrite-target": "/$1",
        "nginx.ingress.kubernetes.io/force-ssl-redirect": "true",
        "nginx.ingress.kubernetes.io/auth-tls-secret": "ca",
      },
    );
    expect((await certificateIn("guarded-tls")).subjectAltName).toBe("DNS:guarded.test");
    expect((await send(cluster, "/x", { host: "guarded.test" })).status).toBe(308);
  }, 70_000);

  test("what cannot be proved is told, and asked for again only later; other hosts go on", async () => {
    cluster.addIngress(
      "lost",
      { rules: [rule("web", { host: "nowhere.test" })], tls: [{ hosts: ["nowhere.test"], secretName: "lost-tls" }] },
      annotations,
    );
    cluster.addIngress(
      "wild",
      { rules: [rule("web", { host: "*.wild.test" })], tls: [{ hosts: ["*.wild.test"], secretName: "wild-tls" }] },
      annotations,
    );
    await eventuallyLong("the failure is told", async () => (await events("lost", "CertificateNotIssued")).length > 0);
    expect((await events("lost", "CertificateNotIssued"))[0]).toMatch(
      /^no certificate for nowhere\.test: \w+: nowhere\.test is not proved: /,
    );
    expect((await events("wild", "CertificateNotPossible"))[0]).toContain('"*.wild.test" cannot be proved by HTTP-01');
    const proofs = (): number => pebble.log().split('Value:"nowhere.test"').length;
    const asked = proofs();
    acme?.refresh();
    cluster.addIngress(
      "late",
      { rules: [rule("web", { host: "late.test" })], tls: [{ secretName: "late-tls" }] },
      annotations,
    );
    expect((await certificateIn("late-tls")).subjectAltName).toBe("DNS:late.test");
    expect(proofs()).toBe(asked);
    expect(await left()).toEqual([]);
  }, 140_000);

  test("a Secret that was not made here stays as it is; a host of another namespace is left to it", async () => {
    cluster.secret("own", selfSigned(["own.test"]));
    const before = await secret("own");
    cluster.addIngress(
      "own",
      { rules: [rule("web", { host: "own.test" })], tls: [{ hosts: ["own.test"], secretName: "own" }] },
      annotations,
    );
    cluster.client.put(resources.Ingress, {
      metadata: { name: "thief", namespace: "zoo", annotations },
      spec: {
        ingressClassName: "fairlead",
        rules: [rule("web")],
        tls: [{ hosts: ["shop.test"], secretName: "stolen" }],
      },
    });
    await eventuallyLong("both are told", async () => {
      const told = [
        ...(await events("own", "CertificateNotOurs")),
        ...(await events("thief", "CertificateNotPossible")),
      ];
      return told.length === 2;
    });
    expect((await secret("own"))?.data).toEqual(before?.data);
    // Its host would be its namespace's once the other Ingress is made anew.
    await cluster.client.delete(resources.Ingress, { namespace: "zoo", name: "thief" });
  }, 70_000);

  test("another host, and the end of its life: a new certificate; a restart without either: none", async () => {
    const first = await certificateIn("shop-tls");
    await begin();
    cluster.addIngress(
      "web",
      {
        rules: [rule("web"), rule("web", { host: "new.shop.test" })],
        tls: [{ hosts: ["shop.test", "new.shop.test"], secretName: "shop-tls" }],
      },
      annotations,
    );
    const second = await certificateIn("shop-tls", first.serialNumber);
    expect(second.subjectAltName).toBe("DNS:new.shop.test, DNS:shop.test");
    await begin(59 * 86_400_000);
    acme?.refresh();
    expect((await certificateIn("shop-tls")).serialNumber).toBe(second.serialNumber);
    await begin(61 * 86_400_000);
    expect((await certificateIn("shop-tls", second.serialNumber)).subjectAltName).toBe(
      "DNS:new.shop.test, DNS:shop.test",
    );
  }, 140_000);
});

describe.skipIf(why)(`certificates of Gateways${why ? ` (skipped: ${why})` : ""}`, () => {
  const namespace = "shop";
  const client = createFakeClient();
  const stop = new AbortController();
  const { signal } = stop;
  const log = silentLogger;
  const clock = systemClock;
  let directory: string;
  let pebble: Pebble | undefined;
  const parts = { client, informers: createInformers(client, { signal, log }), signal, clock, log };
  let acme: Acme | undefined;

  afterAll(async () => {
    stop.abort();
    await acme?.stopped;
    await pebble?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test("a listener's Secret is made, proved through the Gateway itself, and served; nothing of the proof is left", async () => {
    directory = await mkdtemp(join(tmpdir(), "acme-"));
    putGatewayClass(client);
    client.put(gatewayResources.Gateway, {
      metadata: { name: "shop", namespace, generation: 1, annotations: { "fairlead.dev/acme": "true" } },
      spec: {
        gatewayClassName: "fairlead",
        allowedListeners: { namespaces: { from: "Same" } },
        listeners: [
          { name: "http", port: 80, protocol: "HTTP" },
          ...["a.test", "*.b.test"].map((hostname, i) => ({
            name: `https-${i}`,
            port: 443,
            protocol: "HTTPS",
            hostname,
            tls: { certificateRefs: [{ name: "shop-tls" }] },
          })),
        ],
      },
    });
    const gateway = startGateway({
      ...parts,
      dataplane: startEmbedded({ address: "127.0.0.1", metrics: createMetrics(), signal, log }),
      addresses: () => ["127.0.0.1"],
      onServed: () => acme?.refresh(),
      events: createEventRecorder(client, { component: "gateway", log }),
    });
    await gateway.ready;
    const port = (of: number): number | undefined =>
      gateway.listeners().find(({ name }) => name === `${namespace}/shop TCP ${of}`)?.port;
    await eventually("the Gateway listens", () => port(80) !== undefined);
    pebble = await startPebble(directory, { httpPort: port(80) ?? 0 });
    acme = await startAcme({
      ...parts,
      current: () => undefined,
      gateways: () => gateway.current(),
      directory: pebble.directory,
      ca: pebble.ca,
      account: { namespace, name: "account" },
      address: () => "127.0.0.1",
      events: createEventRecorder(client, { component: "acme", log }),
    });
    acme.refresh();
    const told = async (reason: string, kind = "Gateway"): Promise<string[]> =>
      (await client.list(resources.Event)).items
        .filter((event) => event.involvedObject.kind === kind && event.reason === reason)
        .map(({ message = "" }) => message);
    for (let round = 0; round < 4 && (await told("CertificateIssued")).length === 0; round++)
      await eventually("the certificate is told", async () => (await told("CertificateIssued")).length > 0).catch(
        () => {},
      );
    expect(await told("CertificateIssued"), pebble.log().slice(-500)).toEqual([
      "Secret shop/shop-tls has a certificate for a.test (there is none yet)",
    ]);
    expect((await told("CertificateNotPossible"))[0]).toContain('spec.listeners[2]: "*.b.test" cannot be proved');
    await eventually("the Gateway serves it", async () => (await issuerAt(port(443), "a.test")).includes("Pebble"));
    client.put(gatewayResources.ListenerSet, {
      metadata: { name: "more", namespace, generation: 1, annotations: { "fairlead.dev/acme": "true" } },
      spec: {
        parentRef: { name: "shop" },
        // The second is the Gateway's own.
        listeners: ["c.test", "a.test"].map((hostname, i) => ({
          name: `https-${i}`,
          port: 443,
          protocol: "HTTPS",
          hostname,
          tls: { certificateRefs: [{ name: "more-tls" }] },
        })),
      },
    });
    await eventually("a ListenerSet has its own", async () => (await issuerAt(port(443), "c.test")).includes("Pebble"));
    await eventually("that is told", async () => (await told("CertificateIssued", "ListenerSet")).length > 0);
    expect(await told("CertificateIssued", "ListenerSet")).toEqual([
      "Secret shop/more-tls has a certificate for c.test (there is none yet)",
    ]);
    expect((await client.list(gatewayResources.HTTPRoute)).items).toEqual([]);
    const services = (await client.list(resources.Service)).items.map(({ metadata }) => metadata.name);
    expect(services.filter((name) => name.startsWith("acme-"))).toEqual([]);
  }, 100_000);
});

/** Who issued the certificate that is shown for a name; "" when none is. */
async function issuerAt(port: number | undefined, servername: string): Promise<string> {
  if (port === undefined) return "";
  const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerX509Certificate()?.issuer ?? "";
  } catch {
    return "";
  } finally {
    socket.destroy();
  }
}
