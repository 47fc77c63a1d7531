import { chainLength } from "./backend-tls.ts";
import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { compileCaptures } from "../../kube/index.ts";
import { type ClientCertificate, type HeaderChanges, renderTemplate, type RequestFacts } from "../../routing/index.ts";
import type { Answer } from "./answer.ts";

/** What a client has shown in its handshake. */
export interface ShownCertificate {
  /** OpenSSL's code of what is wrong with it. */
  readonly fault?: string;
  /** Distinguished names as RFC 4514 writes them. */
  readonly subject: string;
  readonly issuer: string;
  readonly pem: string;
  /** Authorities between it and one that is trusted. */
  readonly depth: number;
}

/** Faults of nobody's having vouched for it, rather than of the certificate itself. */
const unvouched = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_UNTRUSTED",
]);

/** Fields that only we may write; with `_` they are the same to a CGI-like backend. */
const names = ["ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert"];
const removed = [...names, ...names.map((name) => name.replaceAll("-", "_"))];

const known = new WeakMap<object, ShownCertificate>();

/** The certificate of a connection; `undefined` without one, or without TLS. The same connection is read once. */
export function certificateOf(socket: object): ShownCertificate | undefined {
  const before = known.get(socket);
  if (before) return before;
  const { getPeerCertificate } = socket as Partial<TLSSocket>;
  if (typeof getPeerCertificate !== "function") return undefined;
  const secure = socket as TLSSocket;
  const peer = secure.getPeerCertificate(true);
  // An empty object when there is none.
  if (!(peer as Partial<DetailedPeerCertificate>)?.raw) return undefined;
  const certificate = new X509Certificate(peer.raw);
  // A code, whatever its type says.
  const fault = secure.authorized ? undefined : String(secure.authorizationError);
  const shown: ShownCertificate = {
    ...(fault === undefined ? {} : { fault }),
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    pem: certificate.toString(),
    depth: Math.max(0, chainLength(peer) - 2),
  };
  known.set(socket, shown);
  return shown;
}

/** An answer for who must not come in; else what the backend is told. */
export function judgeCertificate(
  filter: ClientCertificate,
  facts: RequestFacts,
  shown: ShownCertificate | undefined,
): Answer | { readonly changes: HeaderChanges } {
  const fault =
    shown &&
    (shown.fault !== undefined && !(filter.verify === "optional_no_ca" && unvouched.has(shown.fault))
      ? shown.fault
      : shown.fault === undefined && shown.depth > filter.depth
        ? "CERT_CHAIN_TOO_LONG"
        : undefined);
  if (fault !== undefined || (!shown && filter.verify === "on")) {
    if (filter.errorPage)
      return {
        status: 302,
        text: "Look there.",
        fields: [{ name: "location", value: renderTemplate(filter.errorPage, facts) }],
      };
    return { status: 400, text: shown ? "The client certificate is not accepted." : "A client certificate is needed." };
  }
  if (filter.subject !== undefined && !compiled(filter.subject)?.(shown?.subject ?? ""))
    return { status: 403, text: "This client certificate is not allowed here." };
  const verdict = !shown ? "NONE" : shown.fault === undefined ? "SUCCESS" : `FAILED:${shown.fault}`;
  const set = [{ name: "ssl-client-verify", value: verdict }];
  if (shown) {
    set.push({ name: "ssl-client-subject-dn", value: asField(shown.subject) });
    set.push({ name: "ssl-client-issuer-dn", value: asField(shown.issuer) });
    if (filter.pass) set.push({ name: "ssl-client-cert", value: encodeURIComponent(shown.pem) });
  }
  return { changes: { remove: removed, set, add: [] } };
}

const expressions = new Map<string, ReturnType<typeof compileCaptures>>();

/** Few are in use, and they were read before: a model that names many makes this forget. */
function compiled(source: string): ReturnType<typeof compileCaptures> {
  let expression = expressions.get(source);
  if (!expression) {
    if (expressions.size >= 1024) expressions.clear();
    expressions.set(source, (expression = compileCaptures(source)));
  }
  return expression;
}

/** Node writes a part a line, the most general first; RFC 4514 separates by commas and begins at the other end. */
const nameOf = (lines: string): string => lines.split("\n").reverse().join(",");

/** Visible ASCII: other bytes of a name are written as RFC 4514 escapes them. */
function asField(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/gu, (letter) =>
    [...Buffer.from(letter, "utf8")].map((byte) => `\\${byte.toString(16).padStart(2, "0").toUpperCase()}`).join(""),
  );
}
