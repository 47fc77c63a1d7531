import { describe, expect, it } from "vitest";
import { parseAuthenticationConfiguration } from "../../apiserver/index.ts";
import { readSettings } from "../settings.ts";
import { oidcConfiguration } from "./oidc-flags.ts";

const url = "https://login.example.test";

async function issuerOf(flags: Readonly<Record<string, unknown>>, authority = "") {
  const [issuer] = await parseAuthenticationConfiguration(
    JSON.stringify(oidcConfiguration(readSettings({ oidcIssuerUrl: url, oidcClientId: "fair", ...flags }), authority)),
  );
  return issuer;
}

describe("--oidc-* flags", () => {
  it("are one issuer with kube-apiserver's defaults", async () => {
    expect(await issuerOf({})).toMatchObject({
      issuer: { url, audiences: ["fair"] },
      claimValidationRules: [],
      claimMappings: { username: { claim: "sub", prefix: `${url}#` } },
    });
    expect((await issuerOf({}))?.claimMappings.groups).toBeUndefined();
  });

  it("put no prefix before an address, nor where it is said", async () => {
    const prefixOf = async (flags: object) => (await issuerOf({ ...flags }))?.claimMappings.username;
    expect(await prefixOf({ oidcUsernameClaim: "email" })).toEqual({ claim: "email", prefix: "" });
    expect(await prefixOf({ oidcUsernamePrefix: "-" })).toEqual({ claim: "sub", prefix: "" });
    expect(await prefixOf({ oidcUsernameClaim: "email", oidcUsernamePrefix: "oidc:" })).toEqual({
      claim: "email",
      prefix: "oidc:",
    });
  });

  it("map groups, ask for claims and trust an authority", async () => {
    const flags = {
      oidcGroupsClaim: "roles",
      oidcGroupsPrefix: "oidc:",
      oidcRequiredClaim: ["hd=example.test", "a=b=c"],
    };
    expect(await issuerOf(flags, "PEM")).toMatchObject({
      issuer: { certificateAuthority: "PEM" },
      claimValidationRules: [
        { claim: "hd", requiredValue: "example.test" },
        { claim: "a", requiredValue: "b=c" },
      ],
      claimMappings: { groups: { claim: "roles", prefix: "oidc:" } },
    });
  });

  it("are none when none is given, and refused by halves", () => {
    expect(oidcConfiguration(readSettings({}), "")).toBeUndefined();
    expect(() => oidcConfiguration(readSettings({ oidcIssuerUrl: url }), "")).toThrow("go together");
    expect(() => oidcConfiguration(readSettings({ oidcClientId: "fair" }), "")).toThrow("go together");
    const half = readSettings({ oidcIssuerUrl: url, oidcClientId: "fair", oidcRequiredClaim: ["hd"] });
    expect(() => oidcConfiguration(half, "")).toThrow('--oidc-required-claim "hd" is not usable');
  });
});
