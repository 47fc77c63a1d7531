import { describe, expect, test } from "vitest";
import { fields } from "./generated/messages.ts";
import { decode, DecodeError, encode } from "./protobuf.ts";

describe("etcd's messages", () => {
  test("are encoded as protobuf says", () => {
    const bytes = encode("PutRequest", { key: Buffer.from("k"), value: Buffer.from("vv"), lease: 300, prev_kv: true });
    expect(bytes.toString("hex")).toBe("0a016b1202767618ac022001");
    expect(encode("TxnRequest", { compare: [{ target: 2, mod_revision: 0 }] }).toString("hex")).toBe("0a0410023000");
    expect(encode("RangeRequest", { revision: 2 ** 40 }).toString("hex")).toBe("20808080808020");
    expect(encode("RangeRequest", { revision: -1 }).toString("hex")).toBe("20ffffffffffffffffff01");
    expect(encode("Compare", { range_end: Buffer.from("z") }).toString("hex")).toBe("8204017a");
  });

  test("come back as they were", () => {
    const txn = {
      compare: [{ result: 0, target: 2, key: Buffer.from("/a"), mod_revision: 7 }],
      success: [{ request_put: { key: Buffer.from("/a"), value: Buffer.alloc(300, 1) } }, { request_delete_range: {} }],
      failure: [{ request_range: { key: Buffer.from("/a"), revision: 2 ** 52 } }],
    };
    expect(decode("TxnRequest", encode("TxnRequest", txn))).toEqual(txn);
    const header = { cluster_id: 2n ** 64n - 1n, member_id: 1n, revision: -5, raft_term: 3n };
    expect(decode("LeaseGrantResponse", encode("LeaseGrantResponse", { header, error: "é" }, 5).subarray(5))).toEqual({
      header,
      error: "é",
    });
  });

  test("with fields that are not known lose only those", () => {
    const unknown = Buffer.from("9a3e0361626390fa0101a1fa010000000000000000a5fa0100000000", "hex");
    const known = encode("PutRequest", { key: Buffer.from("k") });
    expect(decode("PutRequest", Buffer.concat([unknown, known, unknown]))).toEqual({ key: Buffer.from("k") });
  });

  test("that are damaged are refused or read, never more", () => {
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const names = Object.keys(fields) as (keyof typeof fields)[];
    const good = encode("WatchResponse", {
      header: { revision: 9, cluster_id: 5n },
      events: [{ type: 1, kv: { key: Buffer.from("/a"), mod_revision: 9 }, prev_kv: { value: Buffer.alloc(40) } }],
      cancel_reason: "none",
    });
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes =
        round % 2 === 0 ? Buffer.from(good) : Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      if (bytes.length > 0) bytes[random(bytes.length)] = random(256);
      try {
        decode(names[random(names.length)] ?? "Event", bytes.subarray(0, random(bytes.length + 1)));
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});
