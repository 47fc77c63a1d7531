import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createPlain, type Server } from "node:http";
import { createServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createAuthority, issueServer } from "../../apiserver/pki/authority.ts";
import { systemClock } from "../../system/index.ts";
import { createApi } from "./api.ts";
import { converge } from "./converge.ts";
import { everyProvider, secret } from "./every-provider.ts";

// A network whose only way out is a proxy, which alone knows the cloud's name, and whose certificates are of an authority of its own.
const { signal } = new AbortController();
const password = "proxy-correct-horse";
let folder = "";
let caFile = "";
let credentialsFile = "";
let cloud: Server;
let proxy: Server;
let seen: string[] = [];
let asked: string[] = [];

const portOf = (server: Server) => (server.address() as AddressInfo).port;
const listen = async (server: Server) => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-ways-"));
  const authority = await createAuthority("the firewall", systemClock);
  const pair = await issueServer(authority, { name: "cloud", hosts: ["cloud.test"] }, systemClock);
  caFile = join(folder, "ca.crt");
  await writeFile(caFile, authority.cert);
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  credentialsFile = join(folder, "key.json");
  const key = {
    type: "service_account",
    client_email: "a@b",
    private_key_id: "k",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    token_uri: "https://cloud.test/token",
  };
  await writeFile(credentialsFile, JSON.stringify(key));
  cloud = createServer(pair, (request, response) => {
    request.resume();
    asked.push(request.url ?? "");
    response.writeHead(401, { "content-type": "application/json" });
    response.end(JSON.stringify({ message: `not ${secret}` }));
  });
  await listen(cloud);
  const basic = `Basic ${Buffer.from(`fairlead:${password}`).toString("base64")}`;
  proxy = createPlain((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.end("{}");
  });
  proxy.on("connect", (request, socket, head: Buffer) => {
    seen.push(`CONNECT ${request.url}`);
    socket.on("error", () => socket.destroy());
    if (request.headers["proxy-authorization"] !== basic) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    const up = connect(portOf(cloud), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      up.write(head);
      up.pipe(socket);
      socket.pipe(up);
    });
    up.on("error", () => socket.destroy());
  });
  await listen(proxy);
});
afterEach(() => {
  vi.unstubAllEnvs();
  [seen, asked] = [[], []];
});
afterAll(async () => {
  for (const server of [cloud, proxy]) {
    server.closeAllConnections();
    server.close();
  }
  await rm(folder, { recursive: true, force: true });
});

const through = (of = password) => {
  for (const name of ["https_proxy", "http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"]) vi.stubEnv(name, undefined);
  vi.stubEnv("HTTPS_PROXY", `http://fairlead:${of}@127.0.0.1:${portOf(proxy)}`);
};

describe.each(everyProvider)("$name behind a proxy that looks into TLS", ({ name, create, desired }) => {
  const provider = (more: object = {}) => {
    const key = name.startsWith("gce") ? { credentialsFile } : {};
    return create("https://cloud.test", { timeoutMs: 10_000, ...key, ...more });
  };

  test("it calls through the proxy and believes the authority that is named", async () => {
    through();
    const result = await converge(provider({ caFile }), desired, signal);
    expect(result).toMatchObject({ state: "failed", reason: "Credentials" });
    expect(JSON.stringify(result)).not.toContain(secret);
    expect(asked.length).toBeGreaterThan(0);
    expect(new Set(seen)).toEqual(new Set(["CONNECT cloud.test:443"]));
  });

  test("without the authority nothing is asked; what the proxy does not let through is said without its password", async () => {
    through();
    const distrust = await converge(provider(), desired, signal);
    expect(distrust).toMatchObject({ state: "failed", reason: "Unavailable", message: /certificate/ });
    through("wrong-horse");
    const refused = await converge(provider({ caFile }), desired, signal);
    expect(refused).toMatchObject({ state: "failed", reason: "Unavailable", message: /407/ });
    expect(JSON.stringify(refused)).not.toContain("wrong-horse");
    expect(asked).toEqual([]);
  });
});

test("plain HTTP has its own proxy; this machine, NO_PROXY and a metadata service are asked straight", async () => {
  through();
  const at = `http://127.0.0.1:${portOf(proxy)}`;
  vi.stubEnv("HTTPS_PROXY", undefined);
  vi.stubEnv("HTTP_PROXY", at);
  const asks = (url: string, more: object = {}) =>
    createApi({ timeout: 5_000 }).call({ method: "GET", url, ...more }, signal);
  expect((await asks("http://cloud.test/x")).status).toBe(200);
  expect(seen).toEqual(["GET http://cloud.test/x"]);
  expect((await asks(`${at}/here`)).status).toBe(200);
  expect(seen[1]).toBe("GET /here");
  await expect(asks("http://cloud.test/x", { isDirect: true })).rejects.toMatchObject({ reason: "Unavailable" });
  await expect(asks("https://cloud.test/x")).rejects.toMatchObject({ reason: "Unavailable" });
  vi.stubEnv("NO_PROXY", ".test");
  await expect(asks("http://cloud.test/x")).rejects.toMatchObject({ reason: "Unavailable" });
  expect(seen).toHaveLength(2);
});
