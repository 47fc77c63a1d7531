import { describe, expect, test } from "vitest";
import { attribute, decode, encode, generationIn, kinds, nameIn, type Message, type Netlink } from "./netlink.ts";
import { createTamperWatch } from "./tamper-watch.ts";

const number = (value: number): Buffer => {
  const data = Buffer.alloc(8);
  data.writeUInt16LE(8, 0);
  data.writeUInt16LE(1, 2);
  data.writeUInt32BE(value, 4);
  return data;
};

describe("netlink messages", () => {
  test("a question is read back as it was written", () => {
    const texts = [
      [1, "fairlead"],
      [2, "frontends"],
    ] as const;
    const data = encode({ kind: kinds.getElement, family: "ip6", texts, list: true }, 7);
    expect(data.length % 4).toBe(0);
    const { messages, done, errno } = decode(data);
    expect([messages.length, done, errno]).toEqual([1, false, 0]);
    const [message] = messages;
    expect([message?.kind, message?.family]).toEqual([kinds.getElement, 10]);
    expect(nameIn(attribute(message?.attributes ?? Buffer.alloc(0), 2))).toBe("frontends");
  });

  test("an error, an acknowledgement and the end of a list are told apart", () => {
    const head = (type: number, body: number) => {
      const data = Buffer.alloc(20);
      data.writeUInt32LE(20, 0);
      data.writeUInt16LE(type, 4);
      data.writeInt32LE(body, 16);
      return data;
    };
    expect(decode(head(2, -2))).toMatchObject({ done: true, errno: 2 });
    expect(decode(head(2, 0))).toMatchObject({ done: true, errno: 0 });
    expect(decode(head(3, 0))).toMatchObject({ done: true, errno: 0 });
  });

  test("what is cut short is not read beyond its end", () => {
    const data = encode({ kind: kinds.getRule, family: "ip", texts: [[1, "fairlead"]], list: true }, 1);
    for (let length = 0; length < data.length; length++) expect(decode(data.subarray(0, length)).messages).toEqual([]);
    expect(attribute(Buffer.from([9, 0, 1, 0]), 1)).toBeUndefined();
    expect(attribute(Buffer.from([0, 0, 1, 0]), 1)).toBeUndefined();
  });
});

describe("what others change", () => {
  function parts() {
    let generation = 10;
    let told: Message[] = [];
    let lost = false;
    let isHeard = true;
    let meanwhile: () => void = () => {};
    const netlink: Netlink = {
      ask: () => Promise.resolve(),
      generation: () => generation,
      commit: () => {},
      changes(visit) {
        // The kernel tells on while it is read.
        meanwhile();
        meanwhile = () => {};
        for (const message of told.splice(0)) visit(message);
        const complete = !lost;
        lost = false;
        return complete;
      },
      listen: (on) => {
        isHeard = on;
      },
      close() {},
    };
    const change = (name: string) => {
      generation++;
      if (!isHeard) return;
      told.push({ kind: kinds.newElement, family: 2, attributes: Buffer.from(name) });
      told.push({ kind: kinds.newGeneration, family: 0, attributes: number(generation) });
    };
    const watch = createTamperWatch(netlink, ({ attributes }) =>
      attributes.toString().startsWith("ours") ? attributes.toString() : undefined,
    );
    return {
      watch,
      change,
      whenRead: (then: () => void) => (meanwhile = then),
      lose: () => {
        lost = true;
        told = [];
      },
    };
  }

  test("is told by name, once; what is theirs and what we change is not", async () => {
    const { watch, change } = parts();
    change("theirs");
    expect(watch.touched()).toEqual(new Set());
    await watch.ownChange(async () => (change("ours 1"), 1), false);
    expect(watch.touched()).toEqual(new Set());
    change("ours 2");
    expect(watch.touched()).toEqual(new Set(["ours 2"]));
    expect(watch.touched()).toEqual(new Set());
  });

  test("is not mixed up with a change of ours that is under way", async () => {
    const { watch, change } = parts();
    let done: () => void = () => {};
    const slow = watch.ownChange(async () => {
      change("ours 1");
      await new Promise<void>((resolve) => (done = resolve));
      return 1;
    }, false);
    expect(watch.touched()).toEqual(new Set());
    done();
    await slow;
    expect(watch.touched()).toEqual(new Set());
  });

  test("is not hidden by a change of ours at the same time", async () => {
    const { watch, change } = parts();
    await watch.ownChange(async () => (change("ours 1"), change("ours 2"), 1), false);
    expect(watch.touched()).toEqual(new Set(["ours 1", "ours 2"]));
  });

  test("is told as lost when more happened than the kernel keeps, and forgotten when all is built anew", async () => {
    const { watch, change, lose } = parts();
    change("ours 1");
    lose();
    expect(watch.touched()).toBe("lost");
    change("ours 2");
    await watch.ownChange(async () => (change("ours 3"), 1), true);
    expect(watch.touched()).toEqual(new Set());
  });

  test("is told as lost when it comes while all is built anew, or right after; and what comes later is told by name", async () => {
    const { watch, change, whenRead } = parts();
    await watch.ownChange(async () => (change("ours 1"), change("ours 2"), 1), true);
    expect(watch.touched()).toBe("lost");
    expect(watch.touched()).toEqual(new Set());
    whenRead(() => change("ours 3"));
    await watch.ownChange(async () => (change("ours 1"), 1), true);
    expect(watch.touched()).toBe("lost");
    expect(watch.touched()).toEqual(new Set());
    await watch.ownChange(async () => (change("ours 1"), 1), true);
    change("ours 4");
    expect(watch.touched()).toEqual(new Set(["ours 4"]));
  });

  test("a generation is read with its highest byte first", () => {
    expect(generationIn({ kind: kinds.newGeneration, family: 0, attributes: number(258) })).toBe(258);
  });
});
