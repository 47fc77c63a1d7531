import { describe, expect, test } from "vitest";
import type { BackendTls, Pool } from "../../routing/index.ts";
import { selfSigned } from "../self-signed.ts";
import { authoritiesFile, authoritiesOf, needsStart, trustOf } from "./authorities.ts";
import { serversOf } from "./servers.ts";

const { certificate } = selfSigned(0, ["web.example"]);
const pool = (tls: Partial<BackendTls>, protocol: Pool["protocol"] = "http"): Pool => ({
  key: "p",
  service: { namespace: "a", name: "web" },
  port: "443",
  protocol,
  tls: { serverName: "web.example", subjectAltNames: [], authorities: certificate, ...tls },
  endpoints: [
    { address: "10.0.0.1", port: 443, ready: true, owner: { object: { kind: "Service", name: "web" }, field: "" } },
  ],
});
const keywords = (each: Pool): string =>
  [...serversOf(each, "/d").values()].map((line) => line.keywords.join(" ")).join();

describe("authorities of endpoints", () => {
  test("are a file named after what it holds, whatever stands around it", () => {
    const plain = authoritiesFile(certificate, "/d");
    expect(plain?.file).toMatch(/^\/d\/authorities\/[0-9a-f]{24}\.pem$/);
    expect(
      authoritiesFile(`note\r\n${certificate}\n\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, "/d"),
    ).toEqual(plain);
    expect(plain?.pem).not.toContain("\n\n");
    expect(authoritiesFile("System", "/d")).toEqual({ file: "@system-ca" });
    expect(authoritiesFile("no certificate", "/d")).toBeUndefined();
  });

  test("more than one command takes are for a process that starts", () => {
    const small = authoritiesOf(trustOf(new Map([["p", pool({})]])), "/d");
    expect(needsStart(new Map(), small)).toBe(false);
    const large = new Map([["/d/authorities/x.pem", "x".repeat(20_000)]]);
    expect(needsStart(small, large)).toBe(true);
    expect(needsStart(large, large)).toBe(false);
  });

  test("servers check them and one name", () => {
    expect(keywords(pool({}))).toMatch(
      /^ssl verify required ca-file \/d\/authorities\/\w+\.pem sni str\(web\.example\) verifyhost web\.example alpn http\/1\.1 /,
    );
    expect(keywords(pool({ authorities: "System" }, "h2c"))).toContain("ca-file @system-ca");
    expect(keywords(pool({ unverified: true, serverName: "" }))).toMatch(/^ssl verify none alpn/);
  });

  test.each([
    [{ serverName: "a b" }],
    [{ serverName: "x) ssl verify none" }],
    [{ serverName: "" }],
    [{ authorities: "" }],
    [{ subjectAltNames: [{ type: "URI", value: "spiffe://a/b" }] }],
    [
      {
        client: {
          hostname: "",
          secret: { kind: "Secret", name: "c" },
          version: "1",
          owner: { object: { kind: "Gateway", name: "g" }, field: "" },
        },
      },
    ],
  ] as [Partial<BackendTls>][])("what cannot be done has no server: %j", (tls) => {
    expect(serversOf(pool(tls), "/d").size).toBe(0);
  });
});
