import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClientError, loadKubeconfig } from "../../../src/client/index.ts";
import { createAuthority } from "../../../src/apiserver/pki/authority.ts";
import { kubeconfigText } from "../../../src/apiserver/pki/kubeconfig.ts";
import { createSigner, type CertificateSigner } from "../../../src/apiserver/pki/request.ts";
import { signAccountToken } from "../../../src/apiserver/tokens/account-token.ts";
import { accountKeys, TokenKeyError } from "../../../src/apiserver/tokens/keys.ts";
import {
  AuthenticationConfigurationError,
  parseAuthenticationConfiguration,
} from "../../../src/apiserver/tokens/oidc/configuration.ts";
import { createStaticTokens, TokenFileError } from "../../../src/apiserver/tokens/static-tokens.ts";
import {
  audiencesIn,
  checkDates,
  createSignatureCheck,
  unverifiedClaims,
} from "../../../src/apiserver/tokens/verify.ts";
import { frontProxyUser } from "../../../src/apiserver/authentication/front-proxy.ts";
import { impersonationOf } from "../../../src/apiserver/authentication/impersonation.ts";
import { userFromSubject } from "../../../src/apiserver/https/identity.ts";
import { StatusError } from "../../../src/kube/index.ts";
import { FakeClock } from "../../../src/system/index.ts";
import { CliError } from "../../../src/cli/errors.ts";
import { readConfigFile, readSettings, splitWords } from "../../../src/cli/settings.ts";
import { broken, outcome, outcomeOf, type Target } from "../target.ts";

const privateKey = (): string => {
  const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return key.export({ type: "pkcs8", format: "pem" }).toString();
};

let keys: ReturnType<typeof accountKeys> | undefined;
const ownKeys = (): ReturnType<typeof accountKeys> => (keys ??= accountKeys(privateKey()));

/** Tokens signed by a key that no run has known before: none but those given by `seeds` may be taken. */
const given = new Set<string>();

export const token: Target = {
  name: "token",
  form: "text",
  words: [".", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJFUzI1NiJ9", "e30", "=", "-", "_", "AAAA"],
  async seeds() {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const good = await signAccountToken(ownKeys().signing, {
      issuer: "https://a",
      audiences: ["a"],
      bound: { namespace: "n", serviceaccount: { name: "s", uid: "u" } },
      now: 1,
      lifetime: 600,
    });
    given.add(good);
    return [
      good,
      `${part({ alg: "none" })}.${part({ iss: "a", exp: 1 })}.`,
      `${part({ alg: "HS256", kid: ownKeys().signing.id })}.${part({ aud: ["x", 1], exp: "no" })}.AAAA`,
    ];
  },
  async run(input) {
    const text = input.toString();
    const claims = unverifiedClaims(text);
    if (claims) {
      audiencesIn(claims);
      outcome([Error], () => checkDates(claims, 0, true));
    }
    const verified = await outcomeOf([Error], () => createSignatureCheck()(text, ownKeys().verifying));
    if (verified.startsWith("ok") && !isGiven(text)) broken("a token is taken that nobody signed");
    return `${claims !== undefined} ${verified}`;
  },
};

/** Other texts may stand for the same bytes in base64url. */
const isGiven = (text: string): boolean => {
  const same = (one: string) =>
    one
      .split(".")
      .map((part) => Buffer.from(part, "base64url").toString("hex"))
      .join();
  return [...given].some((one) => same(one) === same(text));
};

let signer: Promise<CertificateSigner> | undefined;
const ownSigner = (): Promise<CertificateSigner> =>
  (signer ??= createAuthority("fuzz", new FakeClock()).then(createSigner));

export const certificateRequest: Target = {
  name: "certificate-request",
  form: "text",
  words: [
    "-----BEGIN CERTIFICATE REQUEST-----\n",
    "-----END CERTIFICATE REQUEST-----\n",
    "MII",
    "AAAA",
    "=",
    "\n",
    "Proc-Type: 4\n",
  ],
  async seeds() {
    await import("reflect-metadata");
    const x509 = await import("@peculiar/x509");
    const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: "CN=system:node:a,O=system:nodes",
      keys: pair,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: "dns", value: "a.b" },
          { type: "ip", value: "10.0.0.1" },
        ]),
      ],
    });
    return [request.toString("pem"), "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"];
  },
  async run(input) {
    const one = await ownSigner();
    const pem = input.toString();
    const read = await outcomeOf([Error], () => one.read(pem));
    if (read.startsWith("ok"))
      await outcomeOf([Error], () => one.sign(pem, { usages: ["client auth"], notBefore: 0, notAfter: 1e12 }));
    outcome([TokenKeyError], () => accountKeys(pem));
    return read;
  },
};

let folder: string | undefined;
function file(input: Buffer): string {
  if (!folder) {
    const made = mkdtempSync(join(tmpdir(), "fairlead-fuzz-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const path = join(folder, "file");
  writeFileSync(path, input);
  return path;
}

export const kubeconfig: Target = {
  name: "kubeconfig",
  form: "text",
  words: [
    "clusters:",
    "users:",
    "contexts:",
    "current-context: ",
    "- name: ",
    "cluster: {",
    "user: {",
    "server: https://",
    "token: x",
    "exec: {command: a, args: [b], env: null}",
    "certificate-authority-data: YQ==",
    "client-key-data: ",
    "[",
    "]",
    "{",
    "}",
    "null",
    "&a",
    "*a",
    "__proto__: ",
  ],
  async seeds() {
    const authority = await createAuthority("a", new FakeClock());
    return [
      await kubeconfigText({ cluster: "c", server: "https://a:1", ca: authority.cert, user: "u", client: authority }),
      "clusters: [{name: a, cluster: {server: 'https://h'}}]\nusers: [{name: b, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x}}}]\ncontexts: [{name: c, context: {cluster: a, user: b, namespace: n}}]\ncurrent-context: c\n",
    ];
  },
  run: (input) => outcomeOf([ClientError], () => loadKubeconfig({ path: file(input) })),
};

export const configuration: Target = {
  name: "configuration",
  form: "text",
  words: [
    "jwt:",
    "- issuer:",
    "url: https://a",
    "audiences: [a]",
    "claimMappings:",
    "username: {claim: sub, prefix: ''}",
    "expression: ",
    "claims.sub",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    "null",
    "__proto__: 1",
  ],
  seeds: () => [
    "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {url: 'https://a', audiences: [b]}\n  claimValidationRules: [{claim: hd, requiredValue: x}]\n  claimMappings:\n    username: {expression: 'claims.sub'}\n    groups: {claim: groups, prefix: 'g:'}\n    extra: [{key: 'a/b', valueExpression: claims.x}]\n",
    "listen: 127.0.0.1:6443\nstore: lmdb\ndata-dir: /x\n",
    'token,user,uid,"a,b"\n# comment\nt2,u2\n',
    'a \'b c\' "d\\"e" f\\ g',
  ],
  async run(input) {
    const text = input.toString();
    const settings = await outcomeOf([CliError], async () => readSettings({}, await readConfigFile(file(input))));
    return [
      await outcomeOf([AuthenticationConfigurationError], () => parseAuthenticationConfiguration(text)),
      outcome([TokenFileError], () => createStaticTokens(text, ["a"])),
      outcome([CliError], () => splitWords(text)),
      settings,
    ].join();
  },
};

/** Headers that say who somebody is, one a line, and the subject of a certificate from the same words. */
export const identity: Target = {
  name: "identity",
  form: "text",
  words: [
    "X-Remote-User: ",
    "X-Remote-Group: ",
    "X-Remote-Extra-",
    "Impersonate-User: ",
    "Impersonate-Group: ",
    "Impersonate-Extra-",
    "Impersonate-Uid: ",
    "\n",
    "%2f",
    "%",
    "__proto__",
    "constructor",
    "system:masters",
  ],
  seeds: () => [
    "X-Remote-User: a\nX-Remote-Group: b\nX-Remote-Group: c\nX-Remote-Extra-a%2fb: d\nX-Remote-Extra-__proto__: e",
    "Impersonate-User: a\nImpersonate-Group: b\nImpersonate-Extra-x: y\nImpersonate-Uid: 1",
  ],
  run: (input) =>
    outcome([StatusError], () => {
      const lines = input.toString().split("\n");
      const raw = lines.flatMap((line) => {
        const colon = line.indexOf(":");
        return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).trim()];
      });
      const user = frontProxyUser({ allowedNames: [] }, "proxy", raw);
      userFromSubject(Object.fromEntries(lines.map((line, i) => [i % 2 ? "CN" : "O", line.split("+")])));
      const wanted = impersonationOf(raw);
      if (Object.getPrototypeOf(wanted?.extra ?? {}) !== Object.prototype) broken("a header changed a prototype");
      return [user, wanted].map((one) => one !== undefined);
    }),
};
