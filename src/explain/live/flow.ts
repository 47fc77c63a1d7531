/** How a connection was translated, as conntrack has it. */
export interface Flow {
  /** Where it really goes. */
  readonly endpoint: string;
  readonly endpointPort: number;
  /** The client as the endpoint sees it. */
  readonly seenAs: string;
}

/** Reads the flow from a line of `conntrack -L`: what answers and to whom is in its second half. Undefined: there is none. */
export function readFlow(text: string): Flow | undefined {
  for (const line of text.split("\n")) {
    const sources = [...line.matchAll(/\bsrc=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)];
    const [, endpoint, seenAs, port] = sources[1] ?? [];
    if (endpoint !== undefined && seenAs !== undefined && port !== undefined)
      return { endpoint, endpointPort: Number(port), seenAs };
  }
  return undefined;
}
