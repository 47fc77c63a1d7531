import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CommandOptions } from "../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noUnprivileged, openLab } from "../support/lab.ts";

/** Asks the API as its pod, in the way of every client in a cluster, and prints what it is told. */
const asPod = `
const { readdirSync, readFileSync } = require("node:fs");
const volumes = process.env.FAIRLEAD_VOLUMES;
const dir = volumes ? volumes + "/" + readdirSync(volumes).find((name) => name.startsWith("kube-api-access")) : "/var/run/secrets/kubernetes.io/serviceaccount";
const read = (name) => readFileSync(dir + "/" + name, "utf8");
const request = require("node:https").request({
  host: process.env.KUBERNETES_SERVICE_HOST,
  port: process.env.KUBERNETES_SERVICE_PORT,
  path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
  method: "POST",
  ca: read("ca.crt"),
  servername: "kubernetes.default.svc",
  headers: { authorization: "Bearer " + read("token"), "content-type": "application/json" },
}, (response) => {
  let text = "";
  response.on("data", (part) => (text += part));
  response.on("end", () => { console.log(JSON.stringify({ namespace: read("namespace"), answer: JSON.parse(text), token: read("token") })); setInterval(() => {}, 1e6); });
});
request.on("error", (error) => { console.error(String(error)); process.exit(1); });
request.end(JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }));
`;

describe.skipIf(noUnprivileged)(`who may do what${noUnprivileged ? ` (skipped: ${noUnprivileged})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  const kubectl = async (line: string, options?: CommandOptions): Promise<string> =>
    printed(await cluster.kubectl(line.split(" "), options));
  /** As somebody else: nothing of the administrator's kubeconfig is used. */
  const asToken = async (token: string, line: string) => {
    const server = await kubectl("config view -o jsonpath={.clusters[0].cluster.server}");
    const ca = join(lab.dir, "ca.crt");
    const data = await kubectl("config view --raw -o jsonpath={.clusters[0].cluster.certificate-authority-data}");
    await writeFile(ca, Buffer.from(data, "base64"), { mode: 0o644 });
    const flags = [`--server=${server}`, `--certificate-authority=${ca}`, `--token=${token}`];
    return cluster.kubectl([...flags, ...line.split(" ")], { env: { KUBECONFIG: "/dev/null" } });
  };

  beforeAll(async () => {
    lab = await openLab("unprivileged");
    cluster = await upCluster(lab, [
      "--api-port",
      "0",
      "--http-port",
      "0",
      "--https-port",
      "0",
      "--image",
      `node=${process.execPath}`,
    ]);
  }, 120_000);
  afterAll(() => tearDown(lab, cluster));

  it("the administrator is known by a certificate", async () => {
    const said = await kubectl("auth whoami -o json");
    expect(JSON.parse(said).status.userInfo).toMatchObject({
      username: "kubernetes-admin",
      groups: ["system:masters", "system:authenticated"],
      extra: { "authentication.kubernetes.io/credential-id": [expect.stringMatching(/^X509SHA256=[0-9a-f]{64}$/)] },
    });
  });

  it("a token of an account is what its roles make it", async () => {
    await kubectl("create serviceaccount robot");
    await kubectl("create rolebinding robot --clusterrole=view --serviceaccount=default:robot");
    const token = (await kubectl("create token robot --duration=10m")).trim();
    expect(printed(await asToken(token, "auth whoami -o jsonpath={.status.userInfo.username}"))).toBe(
      "system:serviceaccount:default:robot",
    );
    expect(printed(await asToken(token, "get configmaps -o name"))).toContain("configmap/kube-root-ca.crt");
    const refused = await asToken(token, "get secrets");
    expect(refused.stderr).toContain('User "system:serviceaccount:default:robot" cannot list resource "secrets"');
    const rules = printed(await asToken(token, "auth can-i --list"));
    expect(rules).toMatch(/configmaps\s+\[\]\s+\[\]\s+\[get list watch\]/);
    expect(rules).toMatch(/\[\/openid\/v1\/jwks\]/);
    await kubectl("delete serviceaccount robot");
    expect((await asToken(token, "auth whoami")).stderr).toContain("Unauthorized");
  });

  it("a wrong token is refused, and nobody sees more than health and version", async () => {
    expect((await asToken("a.b.c", "get pods")).stderr).toContain("You must be logged in to the server");
    const anonymous = await cluster.kubectl(["get", "pods", "--as", "system:anonymous"]);
    expect(anonymous.stderr).toContain('User "system:anonymous" cannot list resource "pods"');
    expect(printed(await cluster.kubectl(["get", "--raw", "/readyz", "--as", "system:anonymous"]))).toBe("ok");
  });

  it("a request for a certificate is approved, signed and used", async () => {
    const [key, request] = [join(lab.dir, "alice.key"), join(lab.dir, "alice.csr")];
    const subject = ["-subj", "/O=dev/CN=alice"];
    printed(
      await lab.run("openssl", [
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        request,
        ...subject,
      ]),
    );
    const manifest = {
      apiVersion: "certificates.k8s.io/v1",
      kind: "CertificateSigningRequest",
      metadata: { name: "alice" },
      spec: {
        request: (await readFile(request)).toString("base64"),
        signerName: "kubernetes.io/kube-apiserver-client",
        expirationSeconds: 3600,
        usages: ["client auth", "digital signature"],
      },
    };
    await kubectl("create -f -", { input: JSON.stringify(manifest) });
    expect(await kubectl("get csr alice -o jsonpath={.spec.username}")).toBe("kubernetes-admin");
    await kubectl("certificate approve alice");
    const certificate = await eventually("the certificate", async () => {
      const data = await kubectl("get csr alice -o jsonpath={.status.certificate}");
      return data || undefined;
    });
    const file = join(lab.dir, "alice.crt");
    await writeFile(file, Buffer.from(certificate, "base64"), { mode: 0o644 });
    const me = ["--client-certificate", file, "--client-key", key];
    const config = join(lab.dir, "alice.kubeconfig");
    await writeFile(config, await readFile(cluster.kubeconfig), { mode: 0o666 });
    await chmod(config, 0o666);
    const env = { KUBECONFIG: config };
    printed(await cluster.kubectl(["config", "unset", "users"], { env }));
    printed(await cluster.kubectl(["config", "set-credentials", "kubernetes-admin", ...me], { env }));
    const who = printed(await cluster.kubectl(["auth", "whoami", "-o", "json"], { env }));
    expect(JSON.parse(who).status.userInfo).toMatchObject({
      username: "alice",
      groups: ["dev", "system:authenticated"],
    });
    await kubectl("create -f -", { input: JSON.stringify({ ...manifest, metadata: { name: "denied" } }) });
    await kubectl("certificate deny denied");
    expect(await kubectl("get csr denied -o jsonpath={.status.conditions[0].type}")).toBe("Denied");
  });

  it("a pod asks the API as its account, until it has gone", async () => {
    const spec = { containers: [{ name: "c", image: "node", command: [process.execPath, "-e", asPod] }] };
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "asker" }, spec };
    await kubectl("create -f -", { input: JSON.stringify(pod) });
    const line = await eventually("the pod's answer", async () => {
      const text = await kubectl("logs asker");
      if (!text.includes("userInfo")) throw new Error(text);
      return text;
    });
    const { namespace, answer, token } = JSON.parse(line);
    expect(namespace).toBe("default");
    expect(answer.status.userInfo).toMatchObject({
      username: "system:serviceaccount:default:default",
      extra: {
        "authentication.kubernetes.io/pod-name": ["asker"],
        "authentication.kubernetes.io/node-name": ["node-1"],
      },
    });
    expect((await asToken(token, "auth whoami")).code).toBe(0);
    await kubectl("delete pod asker --grace-period=0 --force");
    expect((await asToken(token, "auth whoami")).stderr).toContain("Unauthorized");
  });

  it("a Secret for an account is given a token", async () => {
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "legacy", annotations: { "kubernetes.io/service-account.name": "default" } },
      type: "kubernetes.io/service-account-token",
    };
    await kubectl("create -f -", { input: JSON.stringify(secret) });
    const token = await eventually("the token", async () => {
      const data = await kubectl("get secret legacy -o jsonpath={.data.token}");
      return data ? Buffer.from(data, "base64").toString() : undefined;
    });
    expect(printed(await asToken(token, "auth whoami -o jsonpath={.status.userInfo.username}"))).toBe(
      "system:serviceaccount:default:default",
    );
  });

  it("a node sees the Secrets of its own pods alone", async () => {
    await kubectl("create secret generic foreign --from-literal=a=b");
    const asNode = ["--as", "system:node:node-1", "--as-group", "system:nodes"];
    const refused = await cluster.kubectl(["get", "secret", "foreign", ...asNode]);
    expect(refused.stderr).toContain("no relationship found between node 'node-1' and this object");
  });

  it("Secrets are encrypted on disk, also with a new key and after a restart", async () => {
    const text = "a-text-that-is-found-nowhere";
    await kubectl(`create secret generic hidden --from-literal=text=${text}`);
    await kubectl(`create configmap seen --from-literal=text=${text}-else`);
    const keyFile = join(cluster.dir, "encryption.json");
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    const onDisk = async (wanted: string): Promise<boolean> => {
      const dir = join(cluster.dir, "store");
      const files = (await readdir(dir)).map((name) => readFile(join(dir, name)));
      return (await Promise.all(files)).some((bytes) => bytes.includes(wanted));
    };
    expect(await onDisk(`${text}-else`)).toBe(true);
    expect(await onDisk(Buffer.from(text).toString("base64").slice(0, 30))).toBe(false);
    expect(await onDisk("k8s:enc:aesgcm:v1:key1:")).toBe(true);

    const rotated = printed(await cluster.fairlead(["secrets", "rotate", "--dir", cluster.dir]));
    expect(rotated).toContain("New key key2");
    await eventually("the new key", async () => (await onDisk("k8s:enc:aesgcm:v1:key2:")) || undefined);
    await cluster.down();
    const again = printed(await cluster.fairlead(["secrets", "rotate", "--dir", cluster.dir]));
    expect(again).toMatch(/New key key3\. (\d+) of \1 Secrets were re-written with it\./);
    await cluster.up();
    const data = await kubectl("get secret hidden -o jsonpath={.data.text}");
    expect(Buffer.from(data, "base64").toString()).toBe(text);
  }, 120_000);
});
