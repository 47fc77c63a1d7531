import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadKubeconfig } from "./kubeconfig.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kubeconfig-"));
});
afterAll(() => rm(folder, { recursive: true }));

const write = async (name: string, content: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};
const certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const base64 = Buffer.from(certificate).toString("base64");

const full = `
current-context: one
clusters:
- {name: c, cluster: {server: "https://127.0.0.1:6443/", certificate-authority: ca.pem, tls-server-name: api}}
- {name: d, cluster: {server: "http://[::1]:80", insecure-skip-tls-verify: true}}
users:
- {name: u, user: {client-certificate-data: ${base64}, client-key-data: ${base64}}}
- {name: v, user: {tokenFile: token, as: jane, as-groups: [g]}}
- name: w
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, args: [a], env: [{name: X, value: "1"}], interactiveMode: Never}}
contexts:
- {name: one, context: {cluster: c, user: u, namespace: shop}}
- {name: two, context: {cluster: d, user: v}}
- {name: three, context: {cluster: d, user: w}}
- {name: lost, context: {cluster: nowhere, user: w}}
`;

test("data, files beside the kubeconfig, tokens, exec and impersonation", async () => {
  await write("ca.pem", certificate);
  const path = await write("full", full);
  expect(await loadKubeconfig({ path })).toEqual({
    server: "https://127.0.0.1:6443",
    ca: certificate,
    serverName: "api",
    namespace: "shop",
    credentials: { certificate, key: certificate },
  });
  expect(await loadKubeconfig({ path, context: "two" })).toEqual({
    server: "http://[::1]:80",
    insecure: true,
    credentials: { tokenFile: join(folder, "token"), impersonate: { user: "jane", groups: ["g"] } },
  });
  expect((await loadKubeconfig({ path, context: "three" })).credentials.exec).toMatchObject({
    command: join(folder, "login"),
    args: ["a"],
    env: { X: "1" },
  });
});

test("of several files the first wins, missing ones are passed over", async () => {
  const first = await write("first", "current-context: two");
  const second = await write("second", full);
  const config = await loadKubeconfig({ env: { KUBECONFIG: `${join(folder, "missing")}:${first}:${second}` } });
  expect(config.server).toBe("http://[::1]:80");
});

test.each([
  ["a: [", "is not YAML"],
  ["- a", "must be a map"],
  ["clusters: {}", "clusters must be a list"],
  ["clusters: [{cluster: {}}]", "clusters[0].name is missing"],
  ["{}", "current-context is not set"],
  ["current-context: x", 'there is no context "x"; there are: none'],
  [full.replace("context: one", "context: lost"), 'there is no cluster "nowhere"; there are: c, d'],
  [full.replace("https://127.0.0.1:6443/", "127.0.0.1"), "server must be a URL"],
  [full.replace("client-key-data", "x"), "client-certificate and client-key must be given together"],
  [full.replace(`client-key-data: ${base64}`, "client-key-data: AA=="), "client-key-data holds no PEM"],
  [full.replace("tls-server-name: api", "proxy-url: http://p"), "proxy-url is not supported"],
])("%j is refused with what to do", async (content, message) => {
  const path = await write("bad", content);
  await expect(loadKubeconfig({ path })).rejects.toMatchObject({ code: "KUBECONFIG" });
  await expect(loadKubeconfig({ path })).rejects.toThrow(message);
});

test("no kubeconfig at all says where it was looked for", async () => {
  await expect(loadKubeconfig({ path: join(folder, "none") })).rejects.toThrow("none does not exist");
  await expect(loadKubeconfig({ env: { HOME: folder } })).rejects.toThrow(join(folder, ".kube", "config"));
});
