import type { Feature } from "./dataplane.ts";

/** What every data plane does. */
export const basicFeatures: readonly Feature[] = [
  "ExactPath",
  "PrefixPath",
  "RegularExpression",
  "HeaderMatching",
  "WildcardHost",
  "DefaultBackend",
  "TLSTermination",
  "HTTP2",
  "Weights",
  "Redirect",
  "RequestHeaderModification",
];

/** What annotations of ingress-nginx ask for: the embedded data plane and nginx do all of it. */
export const annotationFeatures: readonly Feature[] = [
  "RegexRewrite",
  "TemplateHeaders",
  "AnswerRewrite",
  "StrictTransport",
  "SslRedirect",
  "Tracing",
  "UrlRedirect",
  "SourceRanges",
  "BasicAuth",
  "DigestAuth",
  "ClientCertificate",
  "ExternalAuth",
  "RateLimit",
  "ConnectionLimit",
  "BodyLimit",
  "CloseConnection",
  "ErrorPages",
  "SessionCookie",
  "HashBalancing",
  "Canary",
  "FallbackPool",
  "UnverifiedBackendTls",
  "ConnectTimeout",
  "ReadTimeout",
  "MergedSlashes",
];
