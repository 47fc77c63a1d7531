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
  let isLost = false;

  function note(message: Message): void {
    if (message.kind !== kinds.newGeneration) {
      const name = ours(message);
      if (name !== undefined) current.add(name);
      return;
    }
    if (!own.delete(generationIn(message))) for (const name of current) theirs.add(name);
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
      // Nothing that is heard until all is built anew matters, and of a large change there is much to hear.
      if (anew) netlink.listen(false);
      const made = await change().finally(() => {
        changing--;
        if (anew) netlink.listen(true);
      });
      if (anew) {
        forget();
        netlink.changes(() => {});
        // Who has done something meanwhile has not been heard.
        isLost = netlink.generation() !== before + made;
        return;
      }
      const after = netlink.generation();
      if (after !== before + made) return;
      for (let generation = before + 1; generation <= after; generation++) own.add(generation);
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
