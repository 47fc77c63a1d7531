import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { openPki } from "../../src/apiserver/index.ts";
import { createEtcdClient } from "../../src/store/etcd/client.ts";
import { checkEtcd, openEtcdStore, type EtcdStoreOptions, type Store, type StoreEvent } from "../../src/store/index.ts";
import { systemClock } from "../../src/system/index.ts";
import { noEtcd, startEtcd, type Etcd, type EtcdMember, type EtcdOptions } from "../support/etcd.ts";

const put = (key: string, value: string | Uint8Array, lifetime?: number) =>
  ({ type: "put", key, value: Buffer.from(value), ...(lifetime === undefined ? {} : { lifetime }) }) as const;

describe.skipIf(noEtcd)(`etcd${noEtcd ? ` (${noEtcd})` : ""}`, () => {
  const undo: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });
  const start = async (options?: EtcdOptions): Promise<Etcd> => {
    const etcd = await startEtcd(options);
    undo.push(() => etcd.stop());
    return etcd;
  };
  const open = async (options: EtcdStoreOptions): Promise<Store> => {
    const store = await openEtcdStore(options);
    undo.push(() => store.close());
    return store;
  };

  test("is spoken to over TLS, with a certificate, and by nobody without", async () => {
    const directory = mkdtempSync(join(tmpdir(), "fairlead-etcd-tls-"));
    undo.push(() => rmSync(directory, { recursive: true }));
    const pki = await openPki(directory, systemClock);
    const server = await pki.server("etcd", { name: "etcd", hosts: ["127.0.0.1"] });
    const client = await pki.client("etcd-client", { user: "root", groups: [] });
    const file = (name: string): string => join(directory, name);
    const etcd = await start({ tls: { ca: file("ca.crt"), cert: file("etcd.crt"), key: file("etcd.key") } });
    const { endpoints } = etcd;
    expect(server.cert).toContain("BEGIN CERTIFICATE");
    const store = await open({ endpoints, tls: { ca: pki.ca, ...client } });
    await store.write([], [put("/a", "1")]);
    expect((await store.list("")).items).toHaveLength(1);
    const quick = { endpoints, timeout: 1000 };
    await expect(openEtcdStore({ ...quick, tls: { ca: pki.ca } })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(openEtcdStore({ ...quick, tls: { ...client } })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("keys lie under a prefix of their own, and others' are not seen", async () => {
    const { endpoints } = await start();
    const whole = await open({ endpoints });
    const one = await open({ endpoints, root: "/registry/", prefix: "/one/" });
    const two = await open({ endpoints, root: "/registry/", prefix: "/one-more/" });
    const watch = one.watch("/registry/");
    await two.write([], [put("/registry/a", "two")]);
    await one.write([], [put("/registry/a", "one")]);
    expect((await whole.list("")).items.map(({ key }) => key)).toEqual(["/one-more/a", "/one/a"]);
    expect((await one.list("")).items.map(({ key, value }) => [key, Buffer.from(value).toString()])).toEqual([
      ["/registry/a", "one"],
    ]);
    const seen: StoreEvent[] = [];
    for await (const { events } of watch) {
      seen.push(...events);
      if (seen.length > 0) break;
    }
    expect(seen.map(({ key, revision }) => [key, revision])).toEqual([["/registry/a", 3]]);
  });

  test("keys with a lifetime end by themselves, and watches tell of it", async () => {
    const { endpoints } = await start();
    const store = await open({ endpoints });
    const watch = store.watch("/");
    await store.write([], [put("/passing", "1", 1), put("/lasting", "1")]);
    await store.write([], [put("/passing/too", "1", 1)]);
    const gone: string[] = [];
    for await (const { events } of watch) {
      gone.push(...events.filter(({ type }) => type === "delete").map(({ key }) => key));
      if (gone.length >= 2) break;
    }
    expect(gone.sort()).toEqual(["/passing", "/passing/too"]);
    expect((await store.list("")).items.map(({ key }) => key)).toEqual(["/lasting"]);
  });

  test("what it refuses has a code, and nothing was written", async () => {
    const { endpoints } = await start({ flags: ["--quota-backend-bytes", String(16 << 20)] });
    const store = await open({ endpoints });
    await expect(store.write([], [put("/a", Buffer.alloc(1.5 * 1024 * 1024))])).rejects.toMatchObject({
      code: "TOO_LARGE",
    });
    const fill = async (): Promise<void> => {
      for (let i = 0; i < 40; i++) await store.write([], [put(`/fill/${i}`, Buffer.alloc(1 << 20, i))]);
    };
    await expect(fill()).rejects.toMatchObject({ code: "NO_SPACE" });
    const { items } = await store.list("/fill/");
    expect(items.length).toBeGreaterThan(5);
    expect((await checkEtcd({ endpoints })).findings).toMatchObject([{ problem: expect.stringContaining("NOSPACE") }]);
  });

  test("no member: an error in time, and all goes on when one is back", async () => {
    const etcd = await start();
    const [member] = etcd.members as [EtcdMember];
    const store = await open({ endpoints: etcd.endpoints, timeout: 1500 });
    await store.write([], [put("/a", "1")]);
    const seen: string[] = [];
    const stop = new AbortController();
    undo.push(() => stop.abort());
    void (async () => {
      for await (const { events } of store.watch("/", { signal: stop.signal }))
        seen.push(...events.map(({ key }) => key));
    })();
    await member.end();
    await expect(store.get("/a")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(store.write([], [put("/b", "1")])).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await member.start();
    await expect.poll(() => store.get("/a").then(({ item }) => item?.modRevision), { timeout: 20_000 }).toBe(2);
    await store.write([], [put("/c", "1")]);
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual(["/c"]);
  });

  test("a watch that is compacted beneath says so; one that keeps up goes on", async () => {
    const { endpoints } = await start();
    const store = await open({ endpoints });
    const other = await open({ endpoints });
    for (let i = 0; i < 20; i++) await store.write([], [put("/a", String(i))]);
    await other.compact(15);
    const begin = async (from: number): Promise<number> => {
      for await (const { events } of store.watch("/", { fromRevision: from })) return events.length;
      return 0;
    };
    await expect(begin(5)).rejects.toMatchObject({ code: "COMPACTED" });
    await expect(store.list("/", { revision: 5 })).rejects.toMatchObject({ code: "COMPACTED" });
    expect(await begin(15)).toBeGreaterThan(0);
    expect(await store.compacted()).toBe(15);
  });

  const leaderOf = async ({ members }: Etcd): Promise<EtcdMember> => {
    for (const member of members) {
      const client = createEtcdClient({ endpoints: [member.url] });
      const status = await client.call("Status", {}, "read");
      client.close();
      if (status.leader !== undefined && status.leader === status.header?.member_id) return member;
    }
    throw new Error("there is no leader");
  };
  const follower = async (etcd: Etcd): Promise<EtcdMember> => {
    const leader = await leaderOf(etcd);
    return etcd.members.find((member) => member !== leader) as EtcdMember;
  };
  const kill = async (member: EtcdMember): Promise<void> => {
    await member.end();
    await sleep(1500);
    await member.start();
  };
  const pause = async (member: EtcdMember): Promise<void> => {
    member.kill("SIGSTOP");
    await sleep(3000);
    member.kill("SIGCONT");
  };

  test.each([
    ["a follower is killed", follower, kill],
    ["the leader is killed", leaderOf, kill],
    ["a follower is paused", follower, pause],
    ["the leader is paused", leaderOf, pause],
  ])("of three members, %s under load: nothing acknowledged is lost, no watch has a gap", async (_, choose, fault) => {
    const etcd = await start({ members: 3 });
    const { endpoints } = etcd;
    const store = await open({ endpoints, keepalive: 500 });
    const begin = await store.revision();
    const told: { revision: number; key: string; value: string }[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const { events } of store.watch("/w/", { fromRevision: begin + 1, signal: stop.signal }))
        for (const { revision, key, value } of events)
          told.push({ revision, key, value: Buffer.from(value ?? []).toString() });
    })();
    const acknowledged: { revision: number; key: string; value: string }[] = [];
    let unknown = 0;
    let over = false;
    const writer = async (number: number): Promise<void> => {
      const key = `/w/${number}`;
      for (let count = 0; !over; count++) {
        const value = `${number}-${count}`;
        try {
          const { item } = await store.get(key);
          const result = await store.write([{ key, modRevision: item?.modRevision ?? 0 }], [put(key, value)]);
          if (result.ok) acknowledged.push({ revision: result.revision, key, value });
        } catch (error) {
          expect(["OUTCOME_UNKNOWN", "UNAVAILABLE"]).toContain((error as { code?: string }).code);
          unknown++;
        }
      }
    };
    const writers = Array.from({ length: 6 }, (__, i) => writer(i));
    await sleep(500);
    await fault(await choose(etcd));
    const before = acknowledged.length;
    await expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    over = true;
    await Promise.all(writers);
    const { revision } = await store.write([], [put("/w/end", "end")]);
    await expect.poll(() => told.at(-1)?.revision, { timeout: 20_000 }).toBe(revision);
    stop.abort();
    await watching;
    expect(told.map((event) => event.revision)).toEqual(
      [...new Set(told.map((event) => event.revision))].sort((a, b) => a - b),
    );
    const all = new Map(told.map((event) => [event.revision, event]));
    for (const one of acknowledged) expect(all.get(one.revision)).toEqual(one);
    // Every write is its own revision: what was told of and not acknowledged had an unknown outcome.
    expect(told.length - 1 - acknowledged.length).toBeLessThanOrEqual(unknown);
    expect(told.length).toBe(revision - begin);
  });
});
