import { createSocket } from "node:dgram";
import { once } from "node:events";
import { Agent, createServer as createHttps } from "node:https";
import { connect, createServer, type AddressInfo } from "node:net";
import { connect as connectTls } from "node:tls";
import { expect } from "vitest";
import type { StreamServices } from "../../../src/routing/index.ts";
import { freePort } from "../../../src/system/index.ts";
import { authority } from "../../dataplane/authority.ts";
import { selfSigned } from "../../dataplane/certificates.ts";
import { eventually } from "../../dataplane/cluster.ts";
import type { Fixture } from "../../dataplane/suite.ts";
import { type KeyPair, testPki } from "../../kubelet/pki.ts";
import { lab, type Needs } from "../fixture.ts";

export function tlsContract(made: Fixture, needs: Needs): void {
  async function guarded(annotations: Readonly<Record<string, string>>) {
    // Of its own: the first question may be another process's, and connections of earlier tests have one more answer of the one before.
    const all = await lab(made, ["web"], { streams: () => [] });
    const pki = await testPki();
    all.cluster.secret("ca", { "ca.crt": pki.ca });
    all.cluster.secret("pair", selfSigned(["shop.test"]));
    const tls = { tls: [{ hosts: ["shop.test"], secretName: "pair" }] };
    await all.ingress("web", { "auth-tls-secret": "shop/ca", ...annotations }, [{}], tls);
    const as = (pair?: KeyPair) => ({ tls: { ...pair } });
    return { ...all, pki, as, tls };
  }

  needs("ClientCertificate")(
    "auth-tls-secret: only clients with a certificate of that authority; backends are told who",
    async () => {
      const { get, seen, pki, as } = await guarded({});
      const foreign = await testPki("another-ca");
      expect((await get("/", as())).status).toBe(400);
      expect((await get("/", as(foreign.admin))).status).toBe(400);
      const { headers } = await seen("/", {
        ...as(pki.admin),
        headers: {
          "ssl-client-subject-dn": "CN=forged",
          ssl_client_subject_dn: "CN=forged",
          "ssl-client-cert": "forged",
        },
      });
      expect(headers).toMatchObject({
        "ssl-client-verify": "SUCCESS",
        "ssl-client-subject-dn": "CN=admin,O=system:masters",
        "ssl-client-issuer-dn": "CN=test-ca",
      });
      expect(headers).not.toHaveProperty("ssl_client_subject_dn");
      expect(headers).not.toHaveProperty("ssl-client-cert");
    },
  );

  needs("ClientCertificate")(
    "nobody gets past certificates by another server name, in clear, or by another Ingress of the host",
    async () => {
      const { get, ingress, pki, as, tls } = await guarded({ "ssl-redirect": "false" });
      await ingress("other", {}, [{}], { host: "open.test" });
      await ingress("same", { "ssl-redirect": "false" }, [{ path: "/more" }], tls);
      expect((await get("/", { tls: { servername: "open.test" } })).status).toBe(421);
      expect((await get("/", { tls: { servername: "open.test" }, host: "open.test" })).status).toBe(200);
      expect((await get("/")).status).toBe(400);
      expect((await get("/more", as())).status).toBe(400);
      expect((await get("/more", as(pki.admin))).status).toBe(200);
    },
  );

  for (const version of ["TLSv1.2", "TLSv1.3"] as const)
    needs("ClientCertificate")(`a session of one host proves nothing to another: ${version}`, async () => {
      const { get, seen, ingress, cluster, pki, tls } = await guarded({});
      // Another authority of the same name.
      const bank = await testPki();
      cluster.secret("bank-ca", { "ca.crt": bank.ca });
      await ingress("bank", { "auth-tls-secret": "shop/bank-ca" }, [{}], {
        host: "bank.test",
        tls: [{ ...tls.tls[0], hosts: ["bank.test"] }],
      });
      let session: Buffer | undefined;
      const as = (host: string, pair: KeyPair) => ({ host, tls: { ...pair, maxVersion: version } });
      const first = connectTls({
        host: "127.0.0.1",
        port: cluster.port("https"),
        servername: "shop.test",
        rejectUnauthorized: false,
        maxVersion: version,
        ...pki.admin,
      }).on("session", (one) => (session = one));
      first.write("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
      let answer = "";
      for await (const chunk of first) answer += String(chunk);
      expect(answer).toMatch(/^HTTP\/1.1 200 /);
      // Whoever is given none begins anew.
      const again = as("bank.test", pki.admin);
      expect((await get("/", { ...again, tls: { ...again.tls, ...(session ? { session } : {}) } })).status).toBe(400);
      expect((await seen("/", as("bank.test", bank.admin))).name).toBe("web");
    });

  needs("ClientCertificate")("auth-tls-verify-client: off, optional, optional_no_ca", async () => {
    const { get, seen, ingress, pki, as, tls } = await guarded({ "auth-tls-verify-client": "optional" });
    const foreign = await testPki("another-ca");
    expect((await seen("/", as())).headers["ssl-client-verify"]).toBe("NONE");
    expect((await seen("/", as(pki.admin))).headers["ssl-client-verify"]).toBe("SUCCESS");
    expect((await get("/", as(foreign.admin))).status).toBe(400);
    const secret = { "auth-tls-secret": "ca" };
    await ingress("web", { ...secret, "auth-tls-verify-client": "optional_no_ca" }, [{}], tls);
    expect((await seen("/", as(foreign.admin))).headers["ssl-client-verify"]).toMatch(/^FAILED:/);
    await ingress("web", { ...secret, "auth-tls-verify-client": "off" }, [{}], tls);
    expect((await seen("/", as())).headers).not.toHaveProperty("ssl-client-verify");
  });

  needs("ClientCertificate")("auth-tls-match-cn, -error-page, -pass-certificate-to-upstream", async () => {
    const { get, seen, pki, as } = await guarded({
      "auth-tls-match-cn": "CN=adm",
      "auth-tls-error-page": "https://help.test/certificates",
      "auth-tls-pass-certificate-to-upstream": "true",
    });
    const { headers } = await seen("/", as(pki.admin));
    expect(decodeURIComponent(headers["ssl-client-cert"] ?? "").trim()).toBe(pki.admin.cert.trim());
    expect((await get("/", as(pki.stranger))).status).toBe(403);
    const reply = await get("/", as());
    expect([reply.status, reply.headers.location]).toEqual([302, "https://help.test/certificates"]);
  });

  needs("ClientCertificate")(
    "ca.crl: who stands on the list is not let in, and nobody where it cannot be read",
    async () => {
      const { get, cluster, as } = await guarded({});
      const { ca, list, good, withdrawn } = await authority("ours");
      cluster.secret("ca", { "ca.crt": ca });
      await cluster.served();
      expect([(await get("/", as(good))).status, (await get("/", as(withdrawn))).status]).toEqual([200, 200]);
      cluster.secret("ca", { "ca.crt": ca, "ca.crl": list });
      await cluster.served();
      const [other, one] = [await authority("ours"), { agent: new Agent() }];
      expect((await get("/", { ...as(good), ...one })).status).toBe(200);
      for (const pair of [withdrawn, other.good, undefined])
        expect((await get("/", { ...as(pair), ...one })).status).toBe(400);
      cluster.secret("ca", { "ca.crt": ca, "ca.crl": "nonsense" });
      await cluster.served();
      const answer = await get("/", { ...as(good), ...one }).catch(() => ({ status: "closed" as const }));
      expect(answer.status).toBeOneOf([400, 500, "closed"]);
    },
  );

  needs("ClientCertificate")("auth-tls-*: what cannot be read or is not there lets nobody in", async () => {
    const { get, ingress, cluster, pki, as, tls } = await guarded({ "auth-tls-verify-client": "maybe" });
    for (const annotations of [
      {},
      { "auth-tls-secret": "missing" },
      { "auth-tls-secret": "other/ca" },
      { "auth-tls-secret": "pair" },
      { "auth-tls-secret": "ca", "auth-tls-match-cn": "O=x" },
    ]) {
      if (Object.keys(annotations).length > 0) await ingress("web", annotations, [{}], tls);
      expect([annotations, (await get("/", as(pki.admin))).status]).toEqual([annotations, 500]);
      expect(cluster.ingress.current()?.problems.map(({ object }) => object.name)).toContain("web");
    }
  });

  needs("TLSRoute", "TLSRouteModeMixed")(
    "ssl-passthrough: the handshake is the backend's own; other names end here",
    async () => {
      const { ingress, get, seen, cluster } = await lab(made);
      const pair = selfSigned(["through.test"]);
      const backend = createHttps({ key: pair["tls.key"], cert: pair["tls.crt"] }, (request, response) =>
        response.end(`through ${request.headers.host}`),
      );
      backend.listen(0, "127.0.0.1");
      await once(backend, "listening");
      try {
        cluster.service("through", [{ port: (backend.address() as AddressInfo).port }]);
        await ingress("web", {});
        await ingress("own", { "ssl-passthrough": "true" }, [{ service: "through" }], { host: "through.test" });
        const reply = await get("/", { host: "through.test", tls: { ca: pair["tls.crt"] } });
        expect([reply.status, reply.body]).toEqual([200, "through through.test"]);
        expect((await seen("/", { tls: {} })).name).toBe("web");
        // On a connection that ends here, the host is nobody's.
        expect((await get("/", { host: "through.test", tls: { servername: "shop.test" } })).status).toBe(421);
        await ingress("own", { "ssl-passthrough": "true" }, [{ path: "/x", service: "through" }], {
          host: "through.test",
        });
        expect((await get("/x", { host: "through.test", tls: {} })).status).toBe(500);
      } finally {
        backend.close();
        backend.closeAllConnections();
      }
    },
  );

  needs("TCPRoute", "UDPRoute")(
    "tcp-services and udp-services: ports that come and go; a bad line harms no other",
    async () => {
      const maps: StreamServices[] = [];
      const { cluster, seen, ingress } = await lab(made, ["web"], { streams: () => maps });
      await ingress("web", {});
      const echo = createServer((socket) => void socket.on("data", (data) => socket.end(data)).on("error", () => {}));
      echo.listen(0, "127.0.0.1");
      await once(echo, "listening");
      const datagrams = createSocket("udp4", (message, from) => datagrams.send(message, from.port, from.address));
      datagrams.bind(0, "127.0.0.1");
      await once(datagrams, "listening");
      try {
        cluster.service("db", [{ port: (echo.address() as AddressInfo).port }]);
        cluster.service("dns", [{ port: datagrams.address().port }], [{ port: 80 }], "UDP");
        const [tcp, udp] = [await freePort(), await freePort()];
        const say = (transport: "TCP" | "UDP", data: Record<string, string>): void => {
          const configMap = {
            kind: "ConfigMap",
            apiVersion: "v1",
            metadata: { name: transport, namespace: "shop" },
            data,
          };
          const left = maps.filter((each) => each.transport !== transport);
          maps.splice(0, maps.length, ...left, { transport, configMap });
          cluster.ingress.translateAgain();
        };
        say("TCP", { [tcp]: "shop/db:80", x: "shop/db:80", "9000": "nonsense", "9001": "shop/db:80:PROXY" });
        say("UDP", { [udp]: "shop/dns:80" });
        await eventually("both ports are open", () =>
          [tcp, udp].every((port) => cluster.dataplane.listeners().some((each) => each.port === port)),
        );
        const socket = connect({ host: "127.0.0.1", port: tcp });
        socket.write("hello");
        let text = "";
        for await (const data of socket) text += String(data);
        expect(text).toBe("hello");
        const client = createSocket("udp4");
        const answer = once(client, "message");
        client.send("ping", udp, "127.0.0.1");
        expect(String((await answer)[0])).toBe("ping");
        client.close();
        const faults = () => (cluster.ingress.current()?.problems ?? []).map(({ field }) => field);
        await eventually("bad lines are told", () => faults().length > 0);
        expect(faults().sort()).toEqual(["data[9000]", "data[9001]", "data[x]"]);
        say("TCP", { [tcp]: "shop/gone:80" });
        await eventually("the missing Service is told", () => faults().join().startsWith(`data[${tcp}]`));
        say("TCP", {});
        await eventually("the port is closed", () => !cluster.dataplane.listeners().some(({ port }) => port === tcp));
        expect((await seen("/")).name).toBe("web");
      } finally {
        echo.close();
        datagrams.close();
      }
    },
  );
}
