import type { ObjectRef, Owner } from "./model.ts";
import type { Template } from "./template.ts";

/** A Secret with users: never read into the model itself. */
export interface UsersSecret {
  readonly secret: ObjectRef;
  /** Changes whenever the users do. */
  readonly version: string;
  /** `file`: lines `name:hash` in the key `auth`. `map`: a key is a name, its value the hash. */
  readonly layout: "file" | "map";
}

/** Asks another server whether a request may pass (ingress-nginx `auth-url`). */
export interface ExternalAuth {
  readonly type: "ExternalAuth";
  /** Pool of the server that is asked. Absent: the one that a request for `host` and `path` is led to. */
  readonly pool?: string;
  /** Host header of the question; "" for that of the request. */
  readonly host: string;
  /** Path and query. */
  readonly path: Template;
  /** Default: GET. */
  readonly method?: string;
  /** Where a client is sent whom the server answered 401. */
  readonly signin?: Template;
  /** Query parameter of `signin` that says where the client wanted to go. */
  readonly signinParameter: string;
  /** Fields of the server's answer that the backend gets, in lower case. */
  readonly responseHeaders: readonly string[];
  /** `X-Auth-Request-Redirect` of the question. Default: path and query of the request. */
  readonly redirect?: Template;
  /** Fields of the question, in the place of what the client said. */
  readonly headers?: TemplateHeaders["fields"];
  /**
   * Cookies of a server that lets a request in go to the client whatever the endpoint answers. Default: with 200, 201, 204, 206, 301, 302,
   * 303, 304, 307 and 308, as fields that nginx's `add_header` adds.
   */
  readonly alwaysCookies?: true;
  /** What the server said is remembered. Default: each request is asked for. */
  readonly remembered?: RememberedAnswers;
}

/**
 * Which requests have one answer of the authorization service, and for how long (ingress-nginx `auth-cache-*`). An answer with cookies, with
 * `Vary`, or whose `Cache-Control` forbids it is never remembered.
 */
export interface RememberedAnswers {
  /** Whose answers these are: nobody else's may be taken for them. */
  readonly scope: string;
  /** Requests of the scope with the same text have the same answer. */
  readonly key: Template;
  /** By status; `any` for those that are not named. */
  readonly seconds: Readonly<Record<string, number>>;
}

/**
 * What clients must have shown of themselves in their handshake (ingress-nginx `auth-tls-*`). Without TLS that ends here nobody has
 * shown anything. Backends are told of it in `ssl-client-verify`, `-subject-dn`, `-issuer-dn`, and where `pass` is set `ssl-client-cert`.
 */
export interface ClientCertificate {
  readonly type: "ClientCertificate";
  /** `on`: a good one. `optional`: a good one or none. `optional_no_ca`: whoever signed it. */
  readonly verify: "on" | "optional" | "optional_no_ca";
  /** Authorities between the certificate and one that is trusted. */
  readonly depth: number;
  /** Expression (RE2, not anchored) that the subject's distinguished name (RFC 4514) must have: else 403. */
  readonly subject?: string;
  /** Where clients are sent instead of 400. */
  readonly errorPage?: Template;
  readonly pass: boolean;
}

/** Header fields whose values have parts of the request in them. What is empty for a request is removed. */
export interface TemplateHeaders {
  readonly type: "TemplateHeaders";
  /** Whose: those of requests on their way to backends, or those of answers. */
  readonly of: "request" | "answer";
  readonly how: "set" | "add";
  readonly fields: readonly { readonly name: string; readonly value: Template }[];
}

/**
 * Puts `to` in the place of `from` in what endpoints answer: where `Location` and `Refresh` begin with it, where the path of a cookie does, or
 * where it is a cookie's domain (a dot before it and its case count for nothing). ingress-nginx `proxy-redirect-*`, `proxy-cookie-*`.
 */
export interface AnswerRewrite {
  readonly type: "AnswerRewrite";
  readonly what: "location" | "cookie-domain" | "cookie-path";
  readonly from: Template;
  readonly to: Template;
}

/** Clients without TLS are sent to `https`. */
export interface SslRedirect {
  readonly type: "SslRedirect";
  readonly status: number;
  /** Named in the URL, also when it is the usual one. */
  readonly port?: number;
  /** A slash at the very end of the URL is left out. */
  readonly cutSlash?: true;
}

/** Clients are sent elsewhere. */
export interface UrlRedirect {
  readonly type: "UrlRedirect";
  readonly url: Template;
  readonly status: number;
  /** Only requests for this very path. */
  readonly path?: string;
  /** A slash at the very end of the URL is left out. */
  readonly cutSlash?: true;
}

/** What guards and changes requests beyond the Gateway API's filters: the meaning of ingress-nginx's annotations. */
export type PolicyFilter =
  /** What the first match of `pattern` (RE2, not anchored) captured is put into `replacement` (`$1`), which takes the place of the whole path. */
  | { readonly type: "RegexRewrite"; readonly pattern: string; readonly replacement: string }
  | TemplateHeaders
  | AnswerRewrite
  /** `Strict-Transport-Security` of answers over TLS (RFC 6797 section 7.2). */
  | { readonly type: "StrictTransport"; readonly value: string }
  | SslRedirect
  | UrlRedirect
  /**
   * 403 for clients outside `allow` (when there is any) or in `deny`. `satisfyAny`: whoever is let in by this needs no password, and
   * whoever has one needs not be let in.
   */
  | {
      readonly type: "SourceRanges";
      readonly allow: readonly string[];
      readonly deny: readonly string[];
      readonly satisfyAny: boolean;
    }
  | { readonly type: "BasicAuth"; readonly realm: string; readonly users: UsersSecret }
  | ClientCertificate
  /** The same, but the password itself is never sent (RFC 7616, MD5). What the users' passwords are checked by is `REALM:MD5`, as htdigest writes it. */
  | { readonly type: "DigestAuth"; readonly realm: string; readonly users: UsersSecret }
  | ExternalAuth
  /** By client, in this process: so many requests in `seconds`, and `burst` more at once. */
  | {
      readonly type: "RateLimit";
      readonly id: string;
      readonly requests: number;
      readonly seconds: number;
      readonly burst: number;
      readonly exempt: readonly string[];
      readonly status: number;
    }
  /** Requests at once by client, in this process. */
  | {
      readonly type: "ConnectionLimit";
      readonly id: string;
      readonly connections: number;
      readonly exempt: readonly string[];
      readonly status: number;
    }
  /**
   * Where requests are traced at all. Off: they are not, and what the client says of traces is passed on as it is. Without `trust` it counts
   * for nothing: each request begins a trace.
   */
  | { readonly type: "Tracing"; readonly on: boolean; readonly trust: boolean }
  /** An answer's body is sent with so many bytes in a second; not the first `after` of it. */
  | { readonly type: "AnswerRate"; readonly bytes: number; readonly after: number }
  /** Its endpoint is told that the connection ends with the request. Not where that becomes another protocol's, or is one of many on HTTP/2. */
  | { readonly type: "CloseConnection" }
  /** 413 beyond so many bytes. */
  | { readonly type: "BodyLimit"; readonly bytes: number }
  /** Answers with these codes are replaced by those of `pool`, which is told of the request in header fields. */
  | {
      readonly type: "ErrorPages";
      readonly codes: readonly number[];
      readonly pool: string;
      readonly about: Readonly<Record<string, string>>;
    };

/** A cookie that keeps a client with its endpoint. `stayOf` reads it. */
export interface Affinity {
  readonly cookie: string;
  /**
   * It says a random text that the endpoint is chosen by (consistent hashing), so that new endpoints take over some clients. Default: it says
   * the endpoint, which a client keeps as long as that is there.
   */
  readonly balanced?: true;
  readonly path?: string;
  readonly domain?: string;
  readonly secure: boolean;
  readonly sameSite?: "None" | "Lax" | "Strict";
  /** Seconds. */
  readonly maxAge?: number;
  readonly expires?: number;
}

/** A second backend for some requests: by header, then by cookie, then by chance. */
export interface Canary {
  readonly pool: string;
  readonly header?: { readonly name: string; readonly value?: string; readonly pattern?: string };
  readonly cookie?: string;
  /** Cookie of the rule's affinity: whoever has been to the canary, or to what it stands in for, stays there. Absent: it is drawn anew, and a client of it gets no cookie. */
  readonly sticky?: string;
  /** Share of `total`. */
  readonly weight: number;
  readonly total: number;
  readonly owner: Owner;
}
