import { createHash } from "node:crypto";
import {
  canonicalIp,
  formatTime,
  isStatus,
  semanticEqual,
  setCondition,
  type Condition,
  type Node,
} from "../../kube/index.ts";
import type { Client, createEventRecorder } from "../../client/index.ts";
import type { Clock } from "../../system/index.ts";
import {
  bgpSessions,
  establishedCondition,
  mostListed,
  type BgpSession,
  type BgpSessionStatus,
} from "./definitions.ts";
import type { BgpNeighbor, BgpPlan } from "./plan.ts";
import { sessionKey } from "./session.ts";
import type { SpeakerState } from "./speaker.ts";

export interface SessionReporterOptions {
  readonly client: Client;
  readonly sessions: { list(): readonly BgpSession[] };
  readonly nodes: { get(name: { readonly name: string }): Node | undefined };
  readonly nodeName: string;
  readonly clock: Clock;
  readonly events: ReturnType<typeof createEventRecorder>;
  readonly signal: AbortSignal;
}

export interface SessionReport {
  readonly plan: BgpPlan;
  /** Those that were written. */
  readonly neighbors: readonly BgpNeighbor[];
  readonly faults: ReadonlyMap<string, string>;
  readonly state: SpeakerState;
  /** Why the speaker does not run. */
  readonly failure: string | undefined;
}

/** Writes the BGPSessions of this node: one a peer, as the speaker says that it is. What has not changed is not written. */
export function createSessionReporter(options: SessionReporterOptions) {
  const { client, sessions, nodes, nodeName, clock, events, signal } = options;

  return async ({ neighbors, faults, state, failure }: SessionReport): Promise<void> => {
    const now = formatTime(clock.now());
    const mine = new Map(sessions.list().flatMap((one) => (one.spec.node === nodeName ? [[one.spec.peer, one]] : [])));
    const found = new Map<string, BgpSessionStatus>();
    for (const [peer, message] of faults) found.set(peer, { state: "Invalid", message, advertised: 0 });
    for (const neighbor of neighbors) found.set(neighbor.name, statusOf(neighbor, state, failure));
    for (const [peer, status] of found) await write(peer, status, mine.get(peer), now);
    for (const [peer, { metadata }] of mine) {
      if (found.has(peer)) continue;
      await client.delete(bgpSessions, { name: metadata.name }).catch((error: unknown) => {
        if (!isStatus(error, "NotFound")) throw error;
      });
    }
  };

  async function write(peer: string, seen: BgpSessionStatus, known: BgpSession | undefined, now: string) {
    const before = known?.status;
    const isUp = seen.state === "Established";
    const moved = before?.state !== seen.state;
    const condition = {
      type: establishedCondition,
      status: isUp ? "True" : "False",
      reason: seen.state,
      message: seen.message ?? `${seen.advertised ?? 0} prefixes advertised`,
    };
    const status: BgpSessionStatus = {
      ...seen,
      since: moved ? now : (before?.since ?? now),
      transitions: (before?.transitions ?? 0) + (moved && isUp ? 1 : 0),
      conditions: setCondition<Condition>(before?.conditions, condition, now),
    };
    if (semanticEqual(status, before)) return;
    const session = known ?? (await create(peer));
    if (!session) return;
    try {
      const written = await client.updateStatus(bgpSessions, { ...session, status }, { signal });
      const wasUp = before?.state === "Established";
      if (isUp && !wasUp) events.event(written, "Normal", "SessionEstablished", `with BGPPeer ${peer}`);
      if (!isUp && (wasUp || seen.state === "Invalid")) {
        const type = seen.state === "Invalid" ? "SessionInvalid" : "SessionDown";
        events.event(written, "Warning", type, `with BGPPeer ${peer}: ${seen.message ?? seen.state}`);
      }
    } catch (error) {
      if (!isStatus(error, "Conflict", "NotFound")) throw error;
    }
  }

  async function create(peer: string): Promise<BgpSession | undefined> {
    const node = nodes.get({ name: nodeName });
    const owner = node?.metadata.uid && { apiVersion: "v1", kind: "Node", name: nodeName, uid: node.metadata.uid };
    try {
      return await client.create(bgpSessions, {
        metadata: { name: sessionName(nodeName, peer), ...(owner ? { ownerReferences: [owner] } : {}) },
        spec: { node: nodeName, peer },
      });
    } catch (error) {
      if (isStatus(error, "AlreadyExists")) return undefined;
      throw error;
    }
  }
}

/** The session's reality. What a peer was told is what the speaker says it was told, not what it should be. */
function statusOf(neighbor: BgpNeighbor, state: SpeakerState, failure: string | undefined): BgpSessionStatus {
  const key = sessionKey(neighbor.name);
  const session = state.sessions.get(key);
  const bfd = neighbor.spec.bfd && state.bfd.get(canonicalIp(neighbor.spec.peerAddress) ?? "");
  const now = session?.state ?? "Idle";
  const isUp = now === "Established";
  const told = isUp ? (state.prefixes.get(key) ?? []) : [];
  const second = new Set(neighbor.routes.flatMap(({ prefix, isFallback }) => (isFallback ? [prefix] : [])));
  const fallback = told.filter((prefix) => second.has(prefix)).slice(0, mostListed);
  const why =
    failure ?? session?.error ?? `${neighbor.spec.peerAddress} has not answered ${neighbor.source} on BGP's port yet`;
  return {
    // A session that comes and goes between attempts is not worth a write each time.
    state: isUp ? now : failure === undefined && now !== "Idle" ? "Connect" : "Idle",
    ...(isUp ? {} : { message: why }),
    ...(bfd ? { bfd } : {}),
    advertised: isUp ? (session?.exported ?? 0) : 0,
    ...(told.length > 0 ? { prefixes: told.slice(0, mostListed) } : {}),
    ...(fallback.length > 0 ? { fallback } : {}),
  };
}

/** `NODE.PEER`, or with a sum where that is too long for a name. */
export function sessionName(node: string, peer: string): string {
  const name = `${node}.${peer}`;
  if (name.length <= 253) return name;
  return `${node.slice(0, 200)}.${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;
}
