import type { PolicyFilter, UsersSecret } from "../../routing/index.ts";
import { addressSet } from "../../services/index.ts";
import type { Clock } from "../../system/index.ts";
import { createDigests, type DigestRequest, type DigestVerdict } from "./digest.ts";
import { type AnswerMemory, createAnswerMemory } from "./remembered-answers.ts";
import { rememberingPasswords } from "./passwords.ts";
import { createSystemCrypt } from "./system-crypt.ts";

type RateLimit = Extract<PolicyFilter, { type: "RateLimit" }>;
type ConnectionLimit = Extract<PolicyFilter, { type: "ConnectionLimit" }>;

/** What is remembered of clients, to keep some out. */
export interface Guards {
  /** True when a client may send one more request (a leaky bucket, as nginx's limit_req with nodelay). */
  rate(limit: RateLimit, client: string): boolean;
  /** What gives the place back when the request is done; `undefined` when there is none. */
  connect(limit: ConnectionLimit, client: string): (() => void) | undefined;
  inRanges(ranges: readonly string[], client: string): boolean;
  /** True for the name and password of a user of a Secret, as the Authorization header has them; later, where that is slow to tell. */
  knows(users: UsersSecret, authorization: string | undefined): boolean | Promise<boolean>;
  /** The same for digest authentication, where the password itself is not sent. */
  digest(users: UsersSecret, request: DigestRequest): DigestVerdict;
  /** What authorization services have said. */
  readonly answers: AnswerMemory;
}

/** Clients that are remembered for one limit. Beyond it the oldest is forgotten, as nginx's zones do. */
const mostClients = 65_536;

interface Bucket {
  /** Requests above the rate, times 1,000. */
  excess: number;
  at: number;
}

export function createGuards(
  clock: Clock,
  usersOf: (secret: UsersSecret) => ReadonlyMap<string, string> | undefined,
): Guards {
  const buckets = new Map<string, Map<string, Bucket>>();
  const counts = new Map<string, number>();
  const sets = new WeakMap<readonly string[], ReturnType<typeof addressSet>>();
  const fits = rememberingPasswords(createSystemCrypt());
  const digests = createDigests(clock);

  function inRanges(ranges: readonly string[], client: string): boolean {
    if (ranges.length === 0) return false;
    let set = sets.get(ranges);
    if (!set) sets.set(ranges, (set = addressSet(ranges)));
    return set.has(client);
  }

  return {
    answers: createAnswerMemory(clock),
    inRanges,
    rate(limit, client) {
      if (inRanges(limit.exempt, client)) return true;
      let clients = buckets.get(limit.id);
      if (!clients) {
        if (buckets.size >= mostClients) buckets.clear();
        buckets.set(limit.id, (clients = new Map()));
      }
      const now = clock.now();
      const bucket = clients.get(client);
      if (!bucket) {
        const [oldest] = clients.size >= mostClients ? clients.keys() : [];
        if (oldest !== undefined) clients.delete(oldest);
        clients.set(client, { excess: 0, at: now });
        return true;
      }
      // Requests per millisecond leak out, a thousandth of a request being the unit.
      const leaked = ((now - bucket.at) * limit.requests) / limit.seconds;
      const excess = Math.max(0, bucket.excess - leaked) + 1000;
      if (excess > limit.burst * 1000) return false;
      bucket.excess = excess;
      bucket.at = now;
      return true;
    },
    connect(limit, client) {
      if (inRanges(limit.exempt, client)) return () => {};
      const key = `${limit.id} ${client}`;
      const count = counts.get(key) ?? 0;
      if (count >= limit.connections) return undefined;
      counts.set(key, count + 1);
      let given = false;
      return () => {
        if (given) return;
        given = true;
        const left = (counts.get(key) ?? 1) - 1;
        if (left > 0) counts.set(key, left);
        else counts.delete(key);
      };
    },
    knows(users, authorization) {
      const [, encoded] = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization ?? "") ?? [];
      if (encoded === undefined) return false;
      const text = Buffer.from(encoded, "base64").toString("utf8");
      const colon = text.indexOf(":");
      const entry = colon < 0 ? undefined : usersOf(users)?.get(text.slice(0, colon));
      return entry !== undefined && fits(text.slice(colon + 1), entry);
    },
    digest: (users, request) => digests.check(usersOf(users) ?? new Map(), request),
  };
}
