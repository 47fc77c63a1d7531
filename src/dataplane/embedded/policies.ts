import {
  type Affinity,
  type ExternalAuth,
  type Field,
  type PolicyFilter,
  type RequestFacts,
  rewrittenPath,
  sslLocation,
  urlLocation,
} from "../../routing/index.ts";
import type { Answer } from "./answer.ts";
import type { Guards } from "./guards.ts";

type ErrorPages = Extract<PolicyFilter, { type: "ErrorPages" }>;

/** What policies have decided of a request so far. */
export interface Applied {
  path: string;
  bodyBytes: number;
  /** Whoever is let in by his address needs no password. */
  trusted: boolean;
  /** He is not, but a password would do. */
  stranger: boolean;
  /** A password that is slow to tell: an answer when it is wrong. */
  checking?: Promise<Answer | undefined>;
  authorize?: ExternalAuth;
  errorPages?: ErrorPages;
  /** To be called when the request is done. */
  readonly release: (() => void)[];
}

export interface PolicyRequest {
  readonly facts: RequestFacts;
  readonly guards: Guards;
  /** Bytes that the client says its body has; 0 when it does not. */
  readonly length: number;
}

const forbidden = { status: 403, text: "This client is not allowed here." } satisfies Answer;

/** Applies one policy: an answer, or what `applied` says afterwards. */
export function applyPolicy(
  filter: Exclude<
    PolicyFilter,
    {
      type:
        | "StrictTransport"
        | "TemplateHeaders"
        | "AnswerRate"
        | "AnswerRewrite"
        | "ClientCertificate"
        | "CloseConnection"
        | "Tracing";
    }
  >,
  applied: Applied,
  request: PolicyRequest,
): Answer | undefined {
  const { facts, guards } = request;
  switch (filter.type) {
    case "SslRedirect":
      // Whoever asks for a certificate must find the way in clear.
      if (facts.scheme === "https" || facts.path.startsWith("/.well-known/acme-challenge/")) return undefined;
      return redirect(filter.status, sslLocation(filter, facts));
    case "UrlRedirect":
      if (filter.path !== undefined && filter.path !== facts.path) return undefined;
      return redirect(filter.status, urlLocation(filter, facts));
    case "RegexRewrite":
      applied.path = rewrittenPath(filter, applied.path);
      return undefined;
    case "BodyLimit":
      if (request.length > filter.bytes) return { status: 413, text: "The request body is too large." };
      applied.bodyBytes = Math.min(applied.bodyBytes, filter.bytes);
      return undefined;
    case "RateLimit":
      return guards.rate(filter, facts.client) ? undefined : { status: filter.status, text: "Too many requests." };
    case "ConnectionLimit": {
      const release = guards.connect(filter, facts.client);
      if (!release) return { status: filter.status, text: "Too many requests at once." };
      applied.release.push(release);
      return undefined;
    }
    case "SourceRanges": {
      const denied = guards.inRanges(filter.deny, facts.client);
      const let_in = !denied && (filter.allow.length === 0 || guards.inRanges(filter.allow, facts.client));
      if (filter.satisfyAny) {
        applied.trusted = let_in;
        applied.stranger = !let_in;
        return undefined;
      }
      return let_in ? undefined : forbidden;
    }
    case "BasicAuth": {
      if (applied.trusted) return undefined;
      const known = guards.knows(filter.users, facts.header("authorization"));
      const unknown = challenge(`Basic realm="${quoted(filter.realm)}"`);
      if (known === false) return unknown;
      applied.stranger = false;
      if (known !== true) applied.checking = known.then((fits) => (fits ? undefined : unknown));
      return undefined;
    }
    case "DigestAuth": {
      if (applied.trusted) return undefined;
      const { realm, users } = filter;
      const { method, path, query } = facts;
      const verdict = guards.digest(users, { realm, method, path, query, field: facts.header("authorization") });
      if (verdict !== "known")
        return challenge(
          `Digest realm="${quoted(realm)}", qop="auth", algorithm=MD5, nonce="${verdict.nonce}"${verdict.stale ? ", stale=true" : ""}`,
        );
      applied.stranger = false;
      return undefined;
    }
    case "ExternalAuth":
      if (applied.trusted) return undefined;
      applied.stranger = false;
      applied.authorize = filter;
      return undefined;
    case "ErrorPages":
      applied.errorPages = filter;
      return undefined;
    default:
      return filter satisfies never;
  }
}

function challenge(value: string): Answer {
  const fields = [{ name: "www-authenticate", value }];
  return { status: 401, text: "A name and a password are needed.", fields };
}

/** As the inside of a quoted string (RFC 9110 section 5.6.4). */
const quoted = (text: string): string => text.replaceAll(/["\\]/g, "\\$&");

/** After all policies: a client that nothing has let in. */
export function verdictOf({ stranger }: Applied): Answer | undefined {
  return stranger ? forbidden : undefined;
}

function redirect(status: number, location: string): Answer {
  return { status, text: "Look there.", fields: [{ name: "location", value: location }] };
}

/** The cookie that keeps a client with its endpoint. */
export function affinityField(affinity: Affinity, said: string, facts: RequestFacts, now: number): Field {
  const { cookie, path = "/", domain, secure, sameSite, maxAge, expires } = affinity;
  const parts = [`${cookie}=${said}`, `Path=${path}`];
  if (domain !== undefined) parts.push(`Domain=${domain}`);
  if (expires !== undefined) parts.push(`Expires=${new Date(now + expires * 1000).toUTCString()}`);
  if (maxAge !== undefined) parts.push(`Max-Age=${maxAge}`);
  parts.push("HttpOnly");
  if (secure || facts.scheme === "https") parts.push("Secure");
  if (sameSite !== undefined) parts.push(`SameSite=${sameSite}`);
  return { name: "set-cookie", value: parts.join("; ") };
}
