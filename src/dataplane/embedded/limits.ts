/** Bounds on what one client or one backend can take. Times in milliseconds. */
export interface Limits {
  /** Bytes of a request's or response's header section. */
  readonly headerBytes: number;
  /** Bytes of a request body; more gets 413. Bodies are streamed, so this bounds time and not memory. */
  readonly bodyBytes: number;
  /** Client connections per listener. */
  readonly connections: number;
  /** For a client to send a whole header section. */
  readonly clientHeaders: number;
  /** Without a byte while we wait for the client: to send more of its body, or to take more of the answer. */
  readonly clientIdle: number;
  /** For the rest of a request body when its answer has been given. */
  readonly linger: number;
  /** An idle client connection is kept. */
  readonly clientKeepAlive: number;
  /** For a connection to an endpoint. */
  readonly connect: number;
  /** For an endpoint to begin its answer. */
  readonly responseStart: number;
  /** Without a byte in the middle of an answer, or in a tunnel. */
  readonly responseIdle: number;
  /** Without a datagram, the place of a client is given up. */
  readonly datagramIdle: number;
  /** An idle connection to an endpoint is kept. Shorter than what common servers keep, so that it is we who close. */
  readonly endpointKeepAlive: number;
  /**
   * A request that could not be repeated goes by a connection that has been idle for no longer, or by a new one: whoever closes idle connections, by a
   * timeout or because it ends, may have done so just now, and nobody could tell whether the request was acted on.
   */
  readonly endpointTrust: number;
  /** Requests at once, and so connections, per endpoint; beyond it 503. */
  readonly requestsPerEndpoint: number;
  /** Endpoints that are tried for one request. */
  readonly tries: number;
  /** After a failed connection an endpoint is tried only when no other is left. */
  readonly avoid: number;
}

export const defaultLimits: Limits = {
  headerBytes: 32 << 10,
  bodyBytes: Number.POSITIVE_INFINITY,
  connections: 10_000,
  clientHeaders: 15_000,
  clientIdle: 60_000,
  linger: 5_000,
  clientKeepAlive: 75_000,
  connect: 2_000,
  responseStart: 120_000,
  responseIdle: 3_600_000,
  datagramIdle: 60_000,
  endpointKeepAlive: 4_000,
  endpointTrust: 50,
  requestsPerEndpoint: 1024,
  tries: 3,
  avoid: 1_000,
};
