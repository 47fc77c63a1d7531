import { decodeBackup, encodeBackup } from "../../../src/store/backup/format.ts";
import { parseEncryptionConfiguration } from "../../../src/store/encryption/configuration.ts";
import { EncryptionError } from "../../../src/store/encryption/error.ts";
import { createTransform } from "../../../src/store/encryption/transform.ts";
import { fields } from "../../../src/store/etcd/generated/messages.ts";
import { decode, DecodeError, encode } from "../../../src/store/etcd/protobuf.ts";
import {
  decodeCurrent,
  decodeLog,
  decodeNumber,
  decodePosition,
  encodeCurrent,
  encodeLog,
  seal,
  unseal,
} from "../../../src/store/lmdb/records.ts";
import { StoreError } from "../../../src/store/store.ts";
import { broken, outcome, outcomeOf, type Target } from "../target.ts";

const names = Object.keys(fields) as (keyof typeof fields)[];
const header = { cluster_id: 1n, member_id: 2n, revision: 3, raft_term: 4n };
const pair = {
  key: Buffer.from("/registry/a"),
  value: Buffer.from("value"),
  create_revision: 1,
  mod_revision: 3,
  version: 2,
  lease: 7,
};

export const etcd: Target = {
  name: "etcd",
  form: "bytes",
  words: ["\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "\xff\xff\xff\xff\x0f", "\x0a\x02\x08\x01"],
  seeds: () => [
    encode("RangeResponse", { header, kvs: [pair, pair], more: true, count: 2 }),
    encode("WatchResponse", {
      header,
      watch_id: 1,
      events: [{ type: 1, kv: pair, prev_kv: pair }],
      compact_revision: 5,
    }),
    encode("TxnResponse", { header, succeeded: true, responses: [{ response_range: { header, kvs: [pair] } }] }),
    encode("LeaseGrantResponse", { header, ID: 5, TTL: 10, error: "no" }),
    encode("TxnRequest", {
      compare: [{ result: 0, target: 2, key: Buffer.from("/a"), mod_revision: 7 }],
      success: [{ request_put: { key: Buffer.from("/a"), value: Buffer.alloc(300, 1) } }],
    }),
  ],
  run: (input) =>
    names
      .map((name) =>
        outcome([DecodeError], () => {
          const message = decode(name, input);
          const again = encode(name, message);
          if (!encode(name, decode(name, again)).equals(again))
            broken(`${name} is written differently the second time`);
        }).slice(0, 2),
      )
      .join(""),
};

async function* inPieces(input: Buffer): AsyncGenerator<Uint8Array> {
  const step = 1 + (input.length % 61);
  for (let at = 0; at < input.length; at += step) yield input.subarray(at, at + step);
}

export const backup: Target = {
  name: "backup",
  form: "bytes",
  words: ["FLBACKUP\x01", "\xff\xff\xff\xff", "\0\0\0\x01", "{}", '{"revision":1,"taken":""}'],
  async seeds() {
    const items = [
      { key: "/a", value: Buffer.from("1") },
      { key: "/b", value: Buffer.alloc(100, 2) },
    ];
    const bytes = async (list: typeof items): Promise<Buffer> => {
      const parts: Buffer[] = [];
      for await (const part of encodeBackup({ revision: 5, taken: "2030-01-01T00:00:00Z" }, list)) parts.push(part);
      return Buffer.concat(parts);
    };
    return [await bytes(items), await bytes([])];
  },
  run: (input) =>
    outcomeOf([StoreError], async () => {
      const { items } = await decodeBackup(inPieces(input));
      const found: unknown[] = [];
      for await (const item of items) found.push(item);
      return found;
    }),
};

/** Records of the store in LMDB, and the same with a checksum that fits: damage that a checksum does not find must not crash either. */
export const records: Target = {
  name: "records",
  form: "bytes",
  words: ["\x01", "\x02", "\0\0\0\0\0\x01", "\0\x05/abcd", "\xff\xff"],
  seeds: () => [
    encodeLog([
      { type: "put", key: "/registry/a", createRevision: 4, previous: { revision: 3, ordinal: 1 } },
      { type: "delete", key: "/b", createRevision: 2 },
    ]).subarray(4),
    encodeCurrent({ revision: 5, ordinal: 0, createRevision: 2 }),
    Buffer.from("value"),
  ],
  run: (input) =>
    [
      () => unseal(input, "it"),
      () => decodeLog(input, 1),
      () => decodeLog(seal(input), 1),
      () => decodeCurrent(input),
      () => decodeNumber(input),
      () => decodePosition(input),
    ]
      .map((read) => outcome([StoreError], read))
      .join(),
};

const secret = Buffer.alloc(32, 7);
const key = { name: "key1", secret };

export const encryption: Target = {
  name: "encryption",
  form: "bytes",
  words: ["k8s:enc:aesgcm:v1:key1:", "k8s:enc:aescbc:v1:key1:", "k8s:enc:", ":", "k8s:enc:aesgcm:v1:other:"],
  seeds: () => [
    Buffer.from(createTransform([{ type: "aesgcm", keys: [key] }]).seal("/a", Buffer.from("secret"))),
    Buffer.concat([Buffer.from("k8s:enc:aescbc:v1:key1:"), Buffer.alloc(48, 3)]),
    "plain",
  ],
  run: (input) =>
    outcome([EncryptionError], () => {
      const transform = createTransform([
        { type: "aesgcm", keys: [key] },
        { type: "aescbc", keys: [key] },
        { type: "identity" },
      ]);
      transform.isStale(input);
      const sealed = transform.seal("/a", input);
      if (!input.equals(transform.open("/a", sealed))) broken("what was sealed does not open");
      return transform.open("/a", input);
    }),
};

export const encryptionConfiguration: Target = {
  name: "encryption-configuration",
  form: "text",
  words: [
    "resources:",
    "providers:",
    "- aesgcm:",
    "keys:",
    "- name: ",
    "secret: ",
    "identity: {}",
    "\n",
    "  ",
    "&a ",
    "*a",
    "[",
    "]",
    "null",
    "~",
  ],
  seeds: () => [
    `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - aesgcm:\n      keys:\n      - name: key1\n        secret: ${secret.toString("base64")}\n  - identity: {}\n`,
  ],
  run: (input) => outcomeOf([EncryptionError], () => parseEncryptionConfiguration(input.toString())),
};
