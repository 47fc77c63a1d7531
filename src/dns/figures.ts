import type { Metrics } from "../system/index.ts";
import { rcodes } from "./message.ts";
import type { Resolver } from "./resolver.ts";

const names = new Map<number, string>(Object.entries(rcodes).map(([name, code]) => [code, name]));

/** The same resolver, whose responses are counted. */
export function counted(resolver: Resolver, metrics: Metrics): Resolver {
  const responses = metrics.counter(
    "fairlead_dns_responses_total",
    "Responses, by transport and the result in their header.",
    ["protocol", "rcode"],
  );
  return {
    async resolve(message, transport) {
      const response = await resolver.resolve(message, transport);
      // RFC 1035 section 4.1.1: the lowest four bits of the flags.
      if (response) responses(transport, names.get(response.readUInt16BE(2) & 0xf) ?? "OTHER").inc();
      return response;
    },
  };
}
