import { EgressError } from "./egress.ts";

const certificateFaults: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: "x509: certificate signed by unknown authority",
  SELF_SIGNED_CERT_IN_CHAIN: "x509: certificate signed by unknown authority",
  UNABLE_TO_GET_ISSUER_CERT: "x509: certificate signed by unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "x509: certificate signed by unknown authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "x509: certificate signed by unknown authority",
  CERT_SIGNATURE_FAILURE: "x509: certificate signed by unknown authority",
  CERT_HAS_EXPIRED: "x509: certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "x509: certificate has expired or is not yet valid",
};

const systemFaults: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect: connection refused",
  EHOSTUNREACH: "connect: no route to host",
  ENETUNREACH: "connect: network is unreachable",
  EADDRNOTAVAIL: "connect: cannot assign requested address",
  ETIMEDOUT: "i/o timeout",
};

/** What went wrong, in the words that operators know from Kubernetes. */
export function egressError(error: unknown): EgressError {
  if (error instanceof EgressError) return error;
  const {
    code = "",
    message = String(error),
    reason,
    address,
    port,
    name,
    cause,
    hostname = "",
  } = error as SystemError;
  const because = { cause: error };
  if (name === "TimeoutError" || code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT")
    return new EgressError("TIMEOUT", "context deadline exceeded", because);
  if (name === "AbortError" || code === "UND_ERR_ABORTED")
    return new EgressError("CANCELED", "context canceled", because);
  if (code === "UND_ERR_CONNECT_TIMEOUT") return new EgressError("TIMEOUT", "dial tcp: i/o timeout", because);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return new EgressError("TLS", `tls: failed to verify certificate: x509: ${reason ?? message}`, because);
  const certificate = certificateFaults[code];
  if (certificate !== undefined)
    return new EgressError("TLS", `tls: failed to verify certificate: ${certificate}`, because);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return new EgressError("CONNECTION", `dial tcp: lookup ${hostname}: no such host`, because);
  const system = systemFaults[code];
  if (system !== undefined) {
    const where = address === undefined ? "" : ` ${address.includes(":") ? `[${address}]` : address}:${port ?? 0}`;
    return new EgressError("CONNECTION", `dial tcp${where}: ${system}`, because);
  }
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "EPIPE")
    return new EgressError("CONNECTION", "EOF", because);
  if (code.startsWith("ERR_SSL")) return new EgressError("TLS", `remote error: tls: ${message}`, because);
  if (error instanceof AggregateError && error.errors.length > 0) return egressError(error.errors[0]);
  if (cause !== undefined) return egressError(cause);
  return new EgressError("CONNECTION", message, because);
}

interface SystemError {
  readonly code?: string;
  readonly name?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
  readonly cause?: unknown;
}
