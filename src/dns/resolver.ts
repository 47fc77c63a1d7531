import { randomInt } from "node:crypto";
import type { Logger } from "../system/index.ts";
import {
  decodeQuery,
  decodeResponse,
  encodeQuery,
  encodeReply,
  MessageError,
  type DnsRecord,
  type Query,
  type Rcode,
  type Reply,
} from "./message.ts";
import type { Upstream } from "./upstream.ts";
import type { ClusterView } from "./view.ts";
import { answer, type Zone, type ZoneAnswer } from "./zone.ts";

/** Turns a query into a response, whatever way it came. */
export interface Resolver {
  /** Undefined: what came deserves no answer. Never throws. */
  resolve(message: Buffer, transport: "udp" | "tcp"): Promise<Buffer | undefined>;
}

export interface ResolverOptions {
  /** The cluster's state; undefined as long as it is not complete: then no name may be said not to exist. */
  view(): ClusterView | undefined;
  zone(): Zone;
  readonly upstream: Upstream;
  readonly log: Logger;
}

/** Other names in a row that are followed. */
const longestChain = 8;

export function createResolver(options: ResolverOptions): Resolver {
  const { upstream, log } = options;
  async function respond(query: Query, message: Buffer, transport: "udp" | "tcp"): Promise<Buffer> {
    const state = options.view();
    if (!state) return encodeReply(query, { rcode: "SERVFAIL", authoritative: false }, transport);
    const found = answer(query, state, options.zone());
    if (!found) return upstream.forward(message, transport);
    const reply = await followAlias(query, found, state);
    return encodeReply(query, { ...reply, answers: shuffled(reply.answers ?? []) }, transport);
  }

  /** Adds what the other name has, which may be in the cluster or not (RFC 1034 section 3.6.2, RFC 6604 for the result). */
  async function followAlias(query: Query, first: ZoneAnswer, state: ClusterView): Promise<Reply> {
    let found = first;
    const answers: DnsRecord[] = [...found.answers];
    const seen = new Set([query.name.toLowerCase()]);
    while (found.alias !== undefined) {
      const name = found.alias.toLowerCase();
      if (seen.has(name) || seen.size > longestChain) return { rcode: "SERVFAIL", authoritative: true, answers };
      seen.add(name);
      const next = answer({ name, type: query.type }, state, options.zone());
      if (!next) return { authoritative: true, ...(await askElsewhere(name, query.type, answers)) };
      answers.push(...next.answers);
      found = next;
    }
    return { ...found, authoritative: true, answers };
  }

  async function askElsewhere(name: string, type: string, known: readonly DnsRecord[]) {
    const message = encodeQuery(randomInt(0x10000), name, type);
    let response = decodeResponse(await upstream.forward(message, "udp"));
    if (response?.truncated) response = decodeResponse(await upstream.forward(message, "tcp"));
    const rcode: Rcode = response?.rcode ?? "SERVFAIL";
    return { rcode, answers: [...known, ...(response?.answers ?? [])] };
  }

  return {
    async resolve(message, transport) {
      let query: Query;
      try {
        query = decodeQuery(message);
      } catch (error) {
        return error instanceof MessageError ? error.reply : undefined;
      }
      try {
        return await respond(query, message, transport);
      } catch (error) {
        log.debug({ name: query.name, type: query.type, error: String(error) }, "query failed");
        return encodeReply(query, { rcode: "SERVFAIL", authoritative: false }, transport);
      }
    },
  };
}

/** Addresses in another order each time, so that clients which take the first one spread. Other names stay in front. */
function shuffled(records: readonly DnsRecord[]): DnsRecord[] {
  const aliases = records.filter((record) => record.type === "CNAME");
  const others = records.filter((record) => record.type !== "CNAME");
  for (let i = others.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [others[i], others[j]] = [others[j] as DnsRecord, others[i] as DnsRecord];
  }
  return [...aliases, ...others];
}
