// Proofs by TLS-ALPN-01 (RFC 8737) on each data plane: who sees one and who does not, and certificates by it from pebble with nothing on port 80.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEventRecorder, createFakeClient, createInformers } from "../../src/client/index.ts";
import { startAnswers, type Answers } from "../../src/dataplane/acme/answers.ts";
import { type Acme, missingFor, startAcme, startGateway, startIngress } from "../../src/dataplane/index.ts";
import { resources } from "../../src/kube/index.ts";
import { gatewayResources } from "../../src/routing/index.ts";
import { silentLogger, systemClock } from "../../src/system/index.ts";
import { missing } from "../clients/toolchains.ts";
import { selfSigned } from "../dataplane/certificates.ts";
import { send } from "../dataplane/clients.ts";
import { type Backend, eventually, startBackend, startCluster, type TestCluster } from "../dataplane/cluster.ts";
import { startPlane } from "../dataplane/plane.ts";
import { rule } from "../dataplane/suite.ts";
import { putGatewayClass } from "../support/gateway-kinds.ts";
import { type Pebble, startPebble } from "./pebble.ts";

const noGo = await missing("go", ["version"], "apt-get install golang-go, or see go.dev");
const planes = [
  ["embedded", noGo],
  ["haproxy", noGo ?? (await missingFor("haproxy"))],
  ["nginx", noGo ?? (await missingFor("nginx"))],
] as const;

const byTls = { "fairlead.dev/acme": "true", "fairlead.dev/acme-challenge-type": "tls-alpn-01" };
const proofMark = Buffer.from("06082b0601050507011f0101ff", "hex");
const log = silentLogger;
const clock = systemClock;

/** What a client sees that says this by ALPN: `proof`, who issued the certificate otherwise, or that there is no handshake. */
async function seen(port: number | undefined, servername: string, ...ALPNProtocols: string[]): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port: port ?? 0, servername, ALPNProtocols, rejectUnauthorized: false });
  socket.setTimeout(10_000, () => socket.destroy(new Error("nothing was said")));
  try {
    await once(socket, "secureConnect");
    const shown = socket.getPeerX509Certificate();
    if (!shown?.raw.includes(proofMark)) return shown?.issuer.replaceAll("\n", " ") ?? "";
    socket.on("error", () => {}).write("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let said = "";
    socket.on("data", (chunk) => (said += String(chunk)));
    await once(socket, "close");
    return `proof for ${shown.subjectAltName ?? ""} ${socket.alpnProtocol || "nothing"}${said}`;
  } catch {
    return "no handshake";
  } finally {
    socket.destroy();
  }
}

/** Proofs take seconds on a busy machine. */
async function eventuallyLong(what: string, condition: () => Promise<boolean>, more: () => string): Promise<void> {
  for (let round = 0; round < 4; round++)
    if (
      await eventually(what, condition).then(
        () => true,
        () => false,
      )
    )
      return;
  throw new Error(`waited in vain: ${what}; ${more()}`);
}

describe.each(planes)("proofs by TLS-ALPN-01 on %s", (name, why) => {
  describe.skipIf(why)(why ? `(skipped: ${why})` : "Ingresses", () => {
    const stop = new AbortController();
    let directory: string;
    let cluster: TestCluster;
    let backend: Backend;
    let answers: Answers;
    let acme: Acme | undefined;
    let pebble: Pebble | undefined;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "acme-"));
      backend = await startBackend("web");
      const plane = await startPlane(name, stop.signal);
      cluster = await startCluster({ start: () => plane, onServed: () => acme?.refresh() });
      cluster.service("web", [backend]);
      cluster.secret("site", selfSigned(["a.test", "b.test"]));
      answers = await startAnswers("127.0.0.1", clock);
    }, 60_000);

    afterAll(async () => {
      stop.abort();
      await acme?.stopped;
      answers?.close();
      await pebble?.stop();
      await cluster?.stop();
      await backend?.close();
      await rm(directory, { recursive: true, force: true });
    });

    const ingressNames = async (): Promise<string[]> =>
      (await cluster.client.list(resources.Ingress)).items.map(({ metadata }) => metadata.name);

    test("only who asks for it and nothing else sees a proof; connections stay through its coming and going", async () => {
      const site = (annotations: Record<string, string>): void =>
        cluster.addIngress(
          "site",
          {
            rules: [rule("web", { host: "a.test" }), rule("web", { host: "b.test" })],
            tls: [{ hosts: ["a.test", "b.test"], secretName: "site" }],
          },
          annotations,
        );
      site({});
      await cluster.served();
      const port = cluster.port("https");
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const sockets = new Set<unknown>();
      const ask = async (): Promise<number> => {
        const { status } = await send(cluster, "/", { host: "a.test", tls: {}, agent });
        for (const each of [...Object.values(agent.freeSockets), ...Object.values(agent.sockets)])
          for (const socket of each ?? []) sockets.add(socket);
        return status;
      };
      expect(await ask()).toBe(200);
      site(byTls);
      await cluster.served();
      // Another process may have taken over.
      expect(await ask()).toBe(200);
      sockets.clear();
      expect(await ask()).toBe(200);
      expect(await seen(port, "a.test", "acme-tls/1")).not.toContain("proof");

      const challenge = { type: "tls-alpn-01" as const, host: "a.test", token: "token", answer: "token.thumbprint" };
      await answers.add([challenge]);
      cluster.service("proofs", [{ port: answers.ports.tls }], [{ port: 443 }]);
      const backendOf = { service: { name: "proofs", port: { number: 443 } } };
      cluster.addIngress(
        "lead",
        {
          rules: [{ host: "a.test", http: { paths: [{ path: "/token", pathType: "Exact", backend: backendOf }] } }],
        },
        { "fairlead.dev/alpn": "acme-tls/1" },
      );
      await cluster.served();
      expect(await ask()).toBe(200);
      expect(await seen(port, "a.test", "acme-tls/1")).toBe("proof for DNS:a.test acme-tls/1");
      expect(await seen(port, "A.test", "acme-tls/1")).toBe("proof for DNS:a.test acme-tls/1");
      for (const offered of [[], ["h2"], ["http/1.1"], ["acme-tls/1", "h2"], ["http/1.1", "acme-tls/1"]])
        expect(await seen(port, "a.test", ...offered), offered.join()).toMatch(/Fairlead default certificate/);
      expect(await seen(port, "b.test", "acme-tls/1")).not.toContain("proof");
      expect(await seen(port, "", "acme-tls/1")).not.toContain("proof");
      expect((await send(cluster, "/token", { host: "a.test", tls: {} })).status).toBe(200);

      await cluster.client.delete(resources.Ingress, { namespace: "shop", name: "lead" });
      await cluster.served();
      answers.remove([challenge]);
      expect(await seen(port, "a.test", "acme-tls/1")).not.toContain("proof");
      expect(await ask()).toBe(200);
      // One connection all along.
      expect(sockets.size).toBe(1);
      agent.destroy();
    }, 60_000);

    test("a certificate with nobody on port 80, proved through a process that does not lead; nothing of the proof is left", async () => {
      const other = startIngress({
        client: cluster.client,
        informers: createInformers(cluster.client, { signal: stop.signal, log }),
        dataplane: await startPlane(name, stop.signal),
        addresses: () => ["127.0.0.1"],
        ports: { http: 0, https: 0 },
        leading: () => false,
        signal: stop.signal,
        clock,
        log,
        events: createEventRecorder(cluster.client, { component: "other", log }),
      });
      await other.ready;
      const port = other.listeners().find((each) => each.name === "https")?.port;
      pebble = await startPebble(directory, { tlsPort: port ?? 0 });
      acme = await startAcme({
        client: cluster.client,
        informers: createInformers(cluster.client, { signal: stop.signal, log }),
        current: () => cluster.ingress.current(),
        directory: pebble.directory,
        ca: pebble.ca,
        account: { namespace: "shop", name: "account" },
        address: () => "127.0.0.1",
        signal: stop.signal,
        clock,
        log,
        events: createEventRecorder(cluster.client, { component: "acme", log }),
      });
      cluster.addIngress(
        "shop",
        {
          rules: [rule("web", { host: "c.test" }), rule("web", { host: "d.test" })],
          tls: [{ hosts: ["c.test", "d.test"], secretName: "shop-tls" }],
        },
        byTls,
      );
      await eventuallyLong(
        "the certificate is served",
        async () =>
          (await seen(port, "d.test", "http/1.1")).includes("Pebble") &&
          (await seen(cluster.port("https"), "d.test", "http/1.1")).includes("Pebble"),
        () => pebble?.log().slice(-800) ?? "",
      );
      await eventually(
        "the proof is gone",
        async () => !(await ingressNames()).some((each) => each.startsWith("acme-")),
      );
      expect(await seen(port, "c.test", "acme-tls/1")).not.toContain("proof");
    }, 1_600_000);
  });

  describe.skipIf(why)(why ? `(skipped: ${why})` : "Gateways and ListenerSets", () => {
    const namespace = `acme-${name}`;
    const stop = new AbortController();
    const { signal } = stop;
    const client = createFakeClient();
    const parts = { client, informers: createInformers(client, { signal, log }), signal, clock, log };
    let directory: string | undefined;
    let acme: Acme | undefined;
    let pebble: Pebble | undefined;

    afterAll(async () => {
      stop.abort();
      await acme?.stopped;
      await pebble?.stop();
      if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    });

    test("both get certificates by port 443 alone, which has none before", async () => {
      directory = await mkdtemp(join(tmpdir(), "acme-"));
      putGatewayClass(client);
      const listener = (hostname: string, secret: string, protocol = "HTTPS") => ({
        name: hostname.replace(".", "-"),
        port: 443,
        protocol,
        hostname,
        tls: { certificateRefs: [{ name: secret }] },
      });
      const shop = (annotations: Record<string, string>): void =>
        void client.put(gatewayResources.Gateway, {
          metadata: { name: "shop", namespace, generation: 1, annotations },
          spec: {
            gatewayClassName: "fairlead",
            listeners: [listener("a.test", "shop-tls")],
            allowedListeners: { namespaces: { from: "Same" } },
          },
        });
      shop({});
      const gateway = startGateway({
        ...parts,
        dataplane: await startPlane(name, signal),
        addresses: () => ["127.0.0.1"],
        onServed: () => acme?.refresh(),
        events: createEventRecorder(client, { component: "gateway", log }),
      });
      await gateway.ready;
      const port = (): number | undefined =>
        gateway.listeners().find((each) => each.name === `${namespace}/shop TCP 443`)?.port;
      // Without a certificate there is nothing to listen for, until names are to be proved there.
      expect(gateway.current()?.gateways[0]?.ports).toEqual([]);
      shop(byTls);
      await eventually("the Gateway listens", () => port() !== undefined);
      expect(await seen(port(), "a.test", "http/1.1")).toBe("no handshake");
      pebble = await startPebble(directory, { tlsPort: port() ?? 0 });
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
      const shows = (host: string) => async (): Promise<boolean> =>
        (await seen(port(), host, "http/1.1")).includes("Pebble");
      const more = (): string => pebble?.log().slice(-800) ?? "";
      await eventuallyLong("the Gateway has its certificate", shows("a.test"), more);
      // HAProxy ends no TLS of listeners for TLS.
      const others = name === "haproxy" ? ["b.test"] : ["b.test", "c.test"];
      client.put(gatewayResources.ListenerSet, {
        metadata: { name: "more", namespace, generation: 1, annotations: byTls },
        spec: {
          parentRef: { name: "shop" },
          listeners: others.map((host) => listener(host, "more-tls", host === "c.test" ? "TLS" : "HTTPS")),
        },
      });
      for (const host of others)
        await eventuallyLong(`the ListenerSet has a certificate for ${host}`, shows(host), more);
      expect(await shows("a.test")()).toBe(true);
      await eventually(
        "the proofs are gone",
        async () => (await client.list(gatewayResources.TLSRoute)).items.length === 0,
      );
      const services = (await client.list(resources.Service)).items.map(({ metadata }) => metadata.name);
      expect(services.filter((each) => each.startsWith("acme-"))).toEqual([]);
      const told = async (): Promise<string[]> =>
        (await client.list(resources.Event)).items
          .filter(({ reason }) => reason === "CertificateIssued")
          .map(({ involvedObject: { kind }, message = "" }) => `${kind}: ${message}`);
      await eventually("both are told", async () => (await told()).length === 2);
      expect((await told()).sort()).toEqual([
        `Gateway: Secret ${namespace}/shop-tls has a certificate for a.test (there is none yet)`,
        `ListenerSet: Secret ${namespace}/more-tls has a certificate for ${others.join(", ")} (there is none yet)`,
      ]);
    }, 1_600_000);
  });
});
