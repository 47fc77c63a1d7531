import type { Ingress, Secret } from "../../kube/index.ts";
import type { ClientValidation } from "../model.ts";
import type { ClientCertificate } from "../policies.ts";
import type { Template } from "../template.ts";
import { expressionOf, integerOf, oneOf, urlOf, ValueFault } from "./values.ts";

/** What `auth-tls-*` say. They hold for the whole host. */
export interface CertificateSettings {
  /** Secret with `ca.crt`, and perhaps `ca.crl`. */
  readonly secret: string;
  readonly verify: ClientCertificate["verify"];
  readonly depth: number;
  readonly subject?: string;
  readonly errorPage?: Template;
  readonly pass: boolean;
}

/** A value of an annotation, and whether it guards something. */
type Value = <T>(name: string, read: (text: string) => T, fallback: T) => T;

/** Reads `auth-tls-*`; `undefined` when no certificates are asked for. `value` closes the Ingress when one cannot be read. */
export function readCertificateSettings(value: Value, secret: string | undefined): CertificateSettings | undefined {
  const verify = value(
    "auth-tls-verify-client",
    (text) => oneOf(text, ["on", "off", "optional", "optional_no_ca"]),
    "on",
  );
  const subject = value<string | undefined>("auth-tls-match-cn", subjectOf, undefined);
  const errorPage = value<Template | undefined>("auth-tls-error-page", urlOf, undefined);
  const depth = value("auth-tls-verify-depth", (text) => integerOf(text, 0, 16), 1);
  const pass = value("auth-tls-pass-certificate-to-upstream", booleanText, false);
  if (secret === undefined || verify === "off") return undefined;
  return {
    secret,
    verify,
    depth,
    ...(subject === undefined ? {} : { subject }),
    ...(errorPage ? { errorPage } : {}),
    pass,
  };
}

function booleanText(text: string): boolean {
  return oneOf(text, ["true", "false"]) === "true";
}

function subjectOf(text: string): string {
  if (!text.startsWith("CN=")) throw new ValueFault("an expression that begins with CN= is needed");
  return expressionOf(text);
}

/** The filter that holds requests to it. */
export function certificateFilter({ verify, depth, subject, errorPage, pass }: CertificateSettings): ClientCertificate {
  return {
    type: "ClientCertificate",
    verify,
    depth,
    ...(subject === undefined ? {} : { subject }),
    ...(errorPage ? { errorPage } : {}),
    pass,
  };
}

/** What the handshake asks for; `undefined` when the Secret has no authorities. */
export function validationOf(secret: Secret): ClientValidation | undefined {
  const text = (name: string): string => Buffer.from(secret.data?.[name] ?? "", "base64").toString("latin1");
  const authorities = text("ca.crt");
  const revoked = text("ca.crl");
  if (authorities === "") return undefined;
  return { mode: "Ask", authorities, ...(revoked === "" ? {} : { revoked }) };
}

/** True when an Ingress may say what holds for a whole host: only those of the namespace that had it first. */
export function mayGovern(ingress: Ingress, owner: string | undefined): boolean {
  return ingress.metadata.namespace === owner;
}
