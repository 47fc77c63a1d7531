import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { FakeClock } from "../../system/index.ts";
import { kubeconfigText } from "./kubeconfig.ts";
import { openPki } from "./pki.ts";
import { PkiError } from "./pki-error.ts";

let dir: string;
let clock: FakeClock;
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), "pki-")), "pki");
  clock = new FakeClock();
});
afterEach(() => rmSync(join(dir, ".."), { recursive: true, force: true }));

const server = { name: "kube-apiserver", hosts: ["localhost", "127.0.0.1", "::1", "kubernetes.default.svc"] };
const admin = { user: "admin", groups: ["system:masters", "team"] };

describe("certificates", () => {
  it("are signed by the authority and name who they are for", async () => {
    const pki = await openPki(dir, clock);
    const ca = new X509Certificate(pki.ca);
    expect(ca.ca).toBe(true);
    const own = new X509Certificate((await pki.server("apiserver", server)).cert);
    expect(own.verify(ca.publicKey)).toBe(true);
    expect(own.checkHost("kubernetes.default.svc")).toBeTruthy();
    expect(own.checkIP("::1")).toBeTruthy();
    expect(own.checkHost("elsewhere.example")).toBeUndefined();
    const client = new X509Certificate((await pki.client("admin", admin)).cert);
    expect(client.subject.split("\n").sort()).toEqual(["CN=admin", "O=system:masters", "O=team"]);
  });

  it("stay over a restart", async () => {
    const first = await openPki(dir, clock);
    const pair = await first.client("admin", admin);
    const second = await openPki(dir, clock);
    expect(second.ca).toBe(first.ca);
    expect(await second.client("admin", admin)).toEqual(pair);
  });

  it("are made anew when they are about to end, or are for someone else", async () => {
    const pki = await openPki(dir, clock);
    const own = await pki.server("apiserver", server);
    expect(await pki.server("apiserver", { ...server, hosts: [...server.hosts, "192.0.2.1"] })).not.toEqual(own);
    const client = await pki.client("admin", admin);
    expect(await pki.client("admin", { ...admin, groups: ["other"] })).not.toEqual(client);
    const renewed = await pki.client("admin", admin);
    await clock.advance(340 * 86_400_000);
    expect(await pki.client("admin", admin)).not.toEqual(renewed);
  });

  it("are for their owner's eyes, and leave nothing half written", async () => {
    const pki = await openPki(dir, clock);
    await pki.client("admin", admin);
    const files = readdirSync(dir);
    expect(files.sort()).toEqual(["admin.crt", "admin.key", "ca.crt", "ca.key"]);
    for (const file of files) expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
  });

  it.each(["ca.crt", "ca.key"])("are not replaced when %s is missing or broken", async (file) => {
    await openPki(dir, clock);
    writeFileSync(join(dir, file), "nonsense");
    await expect(openPki(dir, clock)).rejects.toThrow(PkiError);
    rmSync(join(dir, file));
    await expect(openPki(dir, clock)).rejects.toThrow(new RegExp(`${file} is missing`));
  });

  it("are made anew when a leaf is broken", async () => {
    const pki = await openPki(dir, clock);
    await pki.client("admin", admin);
    writeFileSync(join(dir, "admin.crt"), "nonsense");
    const { cert } = await pki.client("admin", admin);
    expect(new X509Certificate(cert).subject).toContain("CN=admin");
  });
});

describe("kubeconfig", () => {
  it("holds all that a client needs", async () => {
    const text = await kubeconfigText({
      cluster: "c",
      server: "https://127.0.0.1:1",
      ca: "CA",
      user: "admin",
      client: { cert: "CERT", key: "KEY" },
    });
    const base64 = (value: string): string => Buffer.from(value).toString("base64");
    expect(parse(text)).toEqual({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1", "certificate-authority-data": base64("CA") } }],
      users: [{ name: "admin", user: { "client-certificate-data": base64("CERT"), "client-key-data": base64("KEY") } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "admin" } }],
      "current-context": "c",
    });
  });
});

describe("keys of service-account tokens", () => {
  it.each([
    ["sa.key", "garbage", "it can not be read"],
    ["sa.key", "", "it can not be read"],
    ["sa.key", weakKey(), "RSA of 2048 bits or more"],
    ["sa.pub", "garbage", "it can not be read"],
    ["sa-old.pub", "garbage", "it can not be read"],
  ])("%s that is none is told at the start, and stays as it is", async (name, text, why) => {
    await openPki(dir, clock);
    writeFileSync(join(dir, name), text);
    const error = await openPki(dir, clock).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PkiError);
    expect(String(error)).toContain(join(dir, name));
    expect(String(error)).toContain(why);
    expect(String(error)).toContain("remove it");
    expect(readFileSync(join(dir, name), "utf8")).toBe(text);
  });
});

function weakKey(): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
