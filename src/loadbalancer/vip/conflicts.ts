import { networkInterfaces } from "node:os";
import { messageOf } from "../../client/index.ts";
import { createTurns, type Clock, type Logger } from "../../system/index.ts";
import type { Neighbours, Question } from "./neighbours.ts";
import type { VipPlan, VrrpInstance } from "./plan.ts";

/** Who else answers for addresses of this node's groups. */
export interface Conflicts {
  /** Asks about addresses that were not asked for yet, before this node takes them. */
  prepare(plan: VipPlan): Promise<void>;
  /** Whether the network was asked about an address, and its answer is beyond doubt. */
  isKnown(address: string): boolean;
  /** Another machine that answers for the address: `02:00:00:00:00:01 on eth0`. Undefined: nobody, as far as is known. */
  claimant(address: string): string | undefined;
  /** The same, where the other machine is none of the nodes that may hold the address. */
  foreign(address: string): string | undefined;
  /** How many addresses another machine answers for. */
  count(): number;
}

export interface ConflictOptions {
  /** Absent where the network cannot be asked: then nothing is known. */
  readonly neighbours: Neighbours | undefined;
  /** Groups to ask for: those that this node holds, or nobody does. */
  readonly groups: () => readonly VrrpInstance[];
  readonly changed: () => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Milliseconds between two rounds of questions, and until an answer that is new is asked for again. */
const roundPause = 5_000;
const doubtPause = 1_000;

interface Known {
  readonly device: string;
  /** Who answered last. */
  readonly macs: readonly string[];
  readonly isAnswered: boolean;
  /** Rounds on end in which somebody answered, or nobody. */
  readonly times: number;
  readonly isConflict: boolean;
  /** It was beyond doubt once. */
  readonly isSettled: boolean;
}

/**
 * What one more answer means: who answers twice on end has the address, and who is silent twice has it no more. An address that moves between
 * nodes is with two of them for a moment, and a packet may be lost. Pure.
 */
export function judge(before: Known | undefined, device: string, macs: readonly string[]): Known {
  const isAnswered = macs.length > 0;
  const times = before?.isAnswered === isAnswered ? before.times + 1 : 1;
  const isConflict = times >= 2 ? isAnswered : (before?.isConflict ?? false);
  const isSettled = (before?.isSettled ?? false) || isAnswered === isConflict;
  return { device, macs: isAnswered ? macs : (before?.macs ?? []), isAnswered, times, isConflict, isSettled };
}

/** Asks the network again and again whether another machine answers for what this node holds. It never answers back: that would be a fight. */
export function watchConflicts(options: ConflictOptions): Conflicts {
  const { neighbours, groups, changed, clock, signal, log } = options;
  const known = new Map<string, Known>();
  const isSettled = (address: string): boolean => known.get(address)?.isSettled ?? false;
  /** Who asks waits for the answers to what is asked already. */
  const inTurn = createTurns();
  /** Nodes' own hardware addresses, and the address that says so. */
  const nodes = new Map<string, string>();

  async function round(questions: readonly Question[]): Promise<void> {
    if (!neighbours || questions.length === 0) return;
    const answers = await neighbours.ask(questions);
    let isNew = false;
    for (const { address, device } of questions) {
      const before = known.get(address);
      const after = judge(before, device, answers.get(address) ?? []);
      known.set(address, after);
      isNew ||= after.isConflict !== (before?.isConflict ?? false) || before === undefined;
      if (after.isConflict && !before?.isConflict)
        log.warn({ address, device, macs: after.macs }, "another machine answers for an address");
    }
    if (isNew) changed();
  }

  const isDoubtful = ({ address }: Question): boolean => {
    const one = known.get(address);
    return one !== undefined && one.times === 1 && one.isAnswered !== one.isConflict;
  };

  async function ask(questions: readonly Question[]): Promise<void> {
    await round(questions);
    const doubtful = questions.filter(isDoubtful);
    if (doubtful.length === 0) return;
    await clock.sleep(doubtPause, signal);
    await round(doubtful);
  }

  async function askNodes(instances: readonly VrrpInstance[]): Promise<void> {
    const peers = questionsOf(instances, (one) => one.peers);
    const unknown = new Map(peers.map((one) => [one.address, one]));
    for (const address of nodes.values()) unknown.delete(address);
    if (!neighbours || unknown.size === 0) return;
    for (const [address, macs] of await neighbours.ask([...unknown.values()]))
      for (const mac of macs) nodes.set(mac, address);
  }

  const follow = async (): Promise<void> => {
    while (!signal.aborted) {
      await clock.sleep(roundPause, signal).catch(() => {});
      if (signal.aborted) return;
      const now = groups();
      const questions = questionsOf(now);
      const wanted = new Set(questions.map(({ address }) => address));
      for (const address of known.keys()) if (!wanted.has(address)) known.delete(address);
      if (questions.length === 0) continue;
      await inTurn(async () => {
        // A node that was replaced has another hardware address.
        nodes.clear();
        await askNodes(now);
        await ask(questions);
      }).catch((error: unknown) => warn(error));
    }
  };
  let warned = false;
  const warn = (error: unknown) => {
    if (signal.aborted || warned) return;
    warned = true;
    log.warn({ error: messageOf(error) }, "the network cannot be asked whether another machine has an address");
  };

  if (neighbours) void follow();
  const told = (address: string, isAny: boolean): string | undefined => {
    const one = known.get(address);
    if (!one?.isConflict) return undefined;
    const macs = one.macs.filter((mac) => isAny || !nodes.has(mac));
    if (macs.length === 0) return undefined;
    const names = macs.map((mac) => (nodes.has(mac) ? `${mac} (node ${nodes.get(mac) ?? ""})` : mac));
    return `${names.join(", ")} on ${one.device}`;
  };
  return {
    async prepare(plan) {
      const now = new Set(groups().map(({ name }) => name));
      const fresh = () => plan.instances.filter(({ name, addresses }) => now.has(name) && !addresses.every(isSettled));
      if (!neighbours || fresh().length === 0) return;
      await inTurn(async () => {
        const left = fresh();
        await askNodes(left);
        await ask(questionsOf(left).filter(({ address }) => !isSettled(address)));
      }).catch((error: unknown) => warn(error));
    },
    isKnown: isSettled,
    claimant: (address) => told(address, true),
    foreign: (address) => told(address, false),
    count: () => [...known.values()].filter(({ isConflict }) => isConflict).length,
  };
}

/** Addresses of groups, and the interfaces that they are on. */
function questionsOf(instances: readonly VrrpInstance[], addressesOf = ({ addresses }: VrrpInstance) => addresses) {
  const devices = new Map<string, string>();
  for (const [device, list] of Object.entries(networkInterfaces()))
    for (const { address } of list ?? []) devices.set(address, device);
  return instances.flatMap((one): Question[] => {
    const device = one.interface ?? devices.get(one.source);
    return device === undefined ? [] : addressesOf(one).map((address) => ({ address, device }));
  });
}
