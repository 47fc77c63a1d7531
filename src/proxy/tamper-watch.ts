import { generationIn, kinds, type Message, type Netlink } from "./netlink.ts";

/** Tells what others change in what is ours: nothing is listed for it, and what others do in their own is passed over. */
export interface TamperWatch {
  /**
   * Runs something that changes rules in our name and resolves with the number of transactions it made. Where there were more meanwhile,
   * some are somebody else's, and all count as theirs.
   * @param anew everything is built anew: what was touched before does not matter any more
   */
  ownChange(change: () => Promise<number>, anew: boolean): Promise<void>;
  /** What was touched since the last call, and nothing while a change of ours is under way; as `ours` names it; `"lost"` when more happened than could be kept. */
  touched(): ReadonlySet<string> | "lost";
}

const nothing: ReadonlySet<string> = new Set();

/** @param ours a name for what a change touches; undefined when that is not ours */
export function createTamperWatch(netlink: Netlink, ours: (change: Message) => string | undefined): TamperWatch {
  const own = new Set<number>();
  /** Of the generation that is being told of. */
  let current = new Set<string>();
  /** Of all that others made. */
  let theirs = new Set<string>();
  /** Changes of ours under way: what is heard meanwhile cannot be told from theirs yet. */
  let changing = 0;
  /** All was built anew by this generation: what is heard of it and of older ones does not matter. */
  let fresh: number | undefined;
  let isLost = false;

  function note(message: Message): void {
    if (message.kind !== kinds.newGeneration) {
      const name = ours(message);
      if (name !== undefined) current.add(name);
      return;
    }
    const generation = generationIn(message);
    // Generations are 32 bits wide and begin anew.
    const isOld = fresh !== undefined && ((generation - fresh) | 0) <= 0;
    if (!own.delete(generation) && !isOld) for (const name of current) theirs.add(name);
    if (current.size > 0) current = new Set();
  }

  function forget(): void {
    own.clear();
    current = new Set();
    theirs = new Set();
    isLost = false;
  }

  return {
    async ownChange(change, anew) {
      const before = netlink.generation();
      changing++;
      const made = await change().finally(() => changing--);
      const after = netlink.generation();
      if (after !== before + made) return;
      if (!anew) {
        for (let generation = before + 1; generation <= after; generation++) own.add(generation);
        return;
      }
      // Nobody else had done anything until then. Who does while this is read is noted, if it can be.
      forget();
      fresh = after;
      if (!netlink.changes(note)) isLost = netlink.generation() !== after;
    },
    touched() {
      if (changing > 0) return nothing;
      if (!netlink.changes(note) || isLost) {
        forget();
        return "lost";
      }
      if (theirs.size === 0) return theirs;
      const touched = theirs;
      theirs = new Set();
      return touched;
    },
  };
}
