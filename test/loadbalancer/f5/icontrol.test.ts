import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createProvider } from "../../../src/loadbalancer/f5/index.ts";
import { converge, remove, runContract } from "../../../src/loadbalancer/provider/index.ts";
import { freePort, runOrThrow, systemCommands } from "../../../src/system/index.ts";
import { eventually } from "../../support/cluster.ts";
import { exposure, settle } from "../../support/exposures.ts";
import { repository } from "../../support/lab.ts";
import { venvOf } from "../../support/venv.ts";

// The provider against iControl REST alone, over TLS, and read back by F5's own SDK; f5.test.ts has the way to a pod.
const { python, install } = venvOf("f5", ["f5-sdk==3.0.21"]);
const why = (spawnSync("haproxy", ["-v"]).error && "needs haproxy") ?? (await install());
const password = "bigip-secret";
const signal = new AbortController().signal;

interface Thing {
  readonly name: string;
  readonly partition: string;
}
interface State {
  readonly invalid: readonly unknown[];
  /** By AS3. */
  readonly tenants: Readonly<Record<string, unknown>>;
  readonly icontrol: Record<"node" | "pool" | "virtual" | "monitor/http", readonly Thing[]> & {
    readonly partitions: readonly string[];
    readonly isSaved: boolean;
    readonly writes: number;
  };
}

describe.skipIf(why)(`iControl REST${why ? ` (skipped: ${why})` : ""}`, { timeout: 120_000 }, () => {
  let folder = "";
  let server: ChildProcess;
  let plain = "";
  let tlsPort = 0;

  const mode = async (body: object) => {
    const response = await fetch(`${plain}/_test/mode`, { method: "POST", body: JSON.stringify(body) });
    expect(response.status).toBe(204);
  };
  const whole = async () => {
    const found = (await (await fetch(`${plain}/_test/state`)).json()) as State;
    expect(found.invalid).toEqual([]);
    return found;
  };
  const state = async () => (await whole()).icontrol;
  const counts = async () => {
    const { partitions, node, "monitor/http": monitors, pool, virtual } = await state();
    return [partitions.length, node.length, monitors.length, pool.length, virtual.length];
  };
  const nothing = [1, 0, 0, 0, 0];
  const provider = (more: object = {}) =>
    createProvider({
      url: `https://127.0.0.1:${tlsPort}`,
      api: "icontrol",
      username: "admin",
      password,
      caFile: join(folder, "tls.crt"),
      addresses: ["127.99.1.10-127.99.1.12"],
      pollMs: 10,
      timeoutMs: 30_000,
      ...more,
    });
  const make = (desired = exposure(), one = provider()) => settle(() => converge(one, desired, signal));
  const unmake = (desired = exposure(), one = provider()) => settle(() => remove(one, desired.key, signal));
  /** What F5's own client sees. */
  const sdk = async (program: string) => {
    const text = [
      "import json, warnings",
      'warnings.simplefilter("ignore")',
      "from f5.bigip import ManagementRoot",
      `ltm = ManagementRoot("127.0.0.1", "admin", ${JSON.stringify(password)}, port=${tlsPort}, token=True).tm.ltm`,
      program,
    ].join("\n");
    return JSON.parse(await runOrThrow(systemCommands, python, ["-c", text], { timeout: 120_000 })) as unknown;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fairlead-icontrol-"));
    const files = ["-keyout", join(folder, "tls.key"), "-out", join(folder, "tls.crt")];
    const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    words.push("-subj", "/CN=bigip", "-addext", "subjectAltName=IP:127.0.0.1", ...files);
    await runOrThrow(systemCommands, "openssl", words, { timeout: 60_000 });
    const port = await freePort();
    tlsPort = await freePort();
    plain = `http://127.0.0.1:${port}`;
    const program = join(repository, "test/loadbalancer/f5/server.mjs");
    server = spawn(process.execPath, [program, String(port), folder, String(tlsPort)], { stdio: "ignore" });
    await eventually("the BIG-IP answers", () => state(), 60);
  });
  afterAll(async () => {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => mode({ busy: 0, fail: 0, lose: 0, slow: 0, expire: 0, quirk: 0 }));

  test.each(["icontrol", "as3"])("the contract is kept, cut off after every step: %s", async (api) => {
    const create = () => Promise.resolve(provider({ api }));
    const results = await runContract({ create, sleep: (ms) => sleep(ms), signal });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(await counts()).toEqual(nothing);
    expect((await whole()).tenants).toEqual({});
  });

  test("what is made is what F5's own client reads; the second time nothing is written, and all is saved", async () => {
    const web = exposure({ sessionAffinity: "ClientIP", healthCheckNodePort: 32_000 });
    const { addresses } = await make(web);
    expect(addresses).toEqual([{ ip: "127.99.1.10", ipMode: "Proxy" }]);
    const read = `
pools = sorted([p.name, p.partition, p.monitor.strip(), sorted([m.partition, m.name, m.address] for m in p.members_s.get_collection())] for p in ltm.pools.get_collection())
virtuals = sorted([v.name, v.destination, v.ipProtocol, v.pool, v.mask, v.sourceAddressTranslation["type"], [p["name"] for p in v.persist]] for v in ltm.virtuals.get_collection())
monitors = [[m.name, m.destination] for m in ltm.monitor.https.get_collection()]
print(json.dumps([virtuals, pools, monitors, sorted(n.address for n in ltm.nodes.get_collection())]))`;
    const part = (name: string, nodePort: number) => [
      `svc_u_1_${name}`,
      "fairlead_lab",
      "/fairlead_lab/svc_u_1_healthz_32000",
      ["10.0.0.1", "10.0.0.2"].map((address) => ["fairlead_lab", `${address}:${nodePort}`, address]),
    ];
    const virtual = (name: string, port: number) => [
      `svc_u_1_${name}`,
      `/fairlead_lab/127.99.1.10:${port}`,
      name.slice(0, 3),
      `/fairlead_lab/svc_u_1_${name}`,
      "255.255.255.255",
      "automap",
      ["source_addr"],
    ];
    const wanted = [
      [virtual("tcp_80", 80), virtual("udp_53", 53)],
      [part("tcp_80", 30_080), part("udp_53", 30_053)],
      [["svc_u_1_healthz_32000", "*:32000"]],
      ["10.0.0.1", "10.0.0.2"],
    ];
    expect(await sdk(read)).toEqual(wanted);
    const { writes, isSaved } = await state();
    expect(isSaved).toBe(true);
    expect(await make(web)).toMatchObject({ steps: 0 });
    expect((await state()).writes).toBe(writes);
    // What somebody else has changed, with F5's own client, is put right.
    await sdk(`
pool = ltm.pools.pool.load(name="svc_u_1_tcp_80", partition="fairlead_lab")
pool.members_s.members.load(name="10.0.0.1:30080", partition="fairlead_lab").delete()
pool.modify(monitor="/Common/tcp", description="mine")
ltm.virtuals.virtual.load(name="svc_u_1_udp_53", partition="fairlead_lab").delete()
print(1)`);
    await make(web);
    expect(await sdk(read)).toEqual(wanted);
    // Another health port is another monitor: its port cannot be changed.
    const { healthCheckNodePort: _, ...plainly } = web;
    await make({ ...plainly, targets: web.targets.slice(0, 1), sessionAffinity: "None" });
    expect(await counts()).toEqual([2, 1, 0, 2, 2]);
    await unmake(web);
    expect(await counts()).toEqual(nothing);
    expect((await state()).isSaved).toBe(true);
  });

  test("a change of one member is two calls for it, in one transaction; nodes that others use stay", async () => {
    const other = exposure({ key: { cluster: "lab", namespace: "ns", name: "other", uid: "u-2" } });
    const one = provider();
    await make(exposure(), one);
    expect((await make(other, one)).addresses).toEqual([{ ip: "127.99.1.11", ipMode: "Proxy" }]);
    const { writes } = await state();
    const [, second] = other.targets;
    await make({ ...other, targets: second ? [second] : [] }, one);
    expect((await state()).writes).toBe(writes + 1);
    expect((await counts())[1]).toBe(2);
    await unmake(exposure(), one);
    expect((await state()).node.map(({ name }) => name)).toEqual(["10.0.0.2"]);
    await unmake(other, one);
    expect(await counts()).toEqual(nothing);
  });

  test("busy, slow, lost, forgotten and denied: it ends as it should", async () => {
    const web = exposure();
    const faults: readonly (readonly [object, string[]])[] = [
      [{ busy: 3 }, ["Throttled"]],
      [{ lose: 2 }, ["Unavailable"]],
      [{ slow: 1 }, []],
      [{ slow: 1, lose: 1 }, ["Unavailable"]],
      // The transaction is gone before it is done, and after.
      [{ expire: 1 }, []],
      [{ quirk: 1 }, []],
      [{ revoke: true }, []],
    ];
    const one = provider();
    for (const [i, [fault, reasons]] of faults.entries()) {
      await mode(fault);
      const ports = web.ports.slice(0, 1).map((port) => ({ ...port, port: 7_000 + i }));
      expect([...new Set((await make({ ...web, ports }, one)).reasons)]).toEqual(reasons);
      expect(await counts()).toEqual([2, 2, 0, 1, 1]);
      expect(await state()).toMatchObject({ isSaved: true, virtual: [{ name: `svc_u_1_tcp_${7_000 + i}` }] });
    }
    // It refuses one transaction as a whole: nothing of it is there.
    await mode({ fail: 1 });
    const ports = web.ports.map((port) => ({ ...port, port: port.port + 1 }));
    const failed = await converge(one, { ...web, ports }, signal);
    expect(failed).toMatchObject({ state: "failed", reason: "Refused", message: /Configuration error: injected/ });
    expect(await counts()).toEqual([2, 2, 0, 1, 1]);
    await unmake(web, one);
    expect(await counts()).toEqual(nothing);
  });

  test("a BIG-IP that starts anew has what was made", async () => {
    await make();
    const before = await counts();
    await mode({ restart: true });
    expect(await counts()).toEqual(before);
    await unmake();
    await mode({ restart: true });
    expect(await counts()).toEqual(nothing);
  });

  test("a partition of somebody else's: what is in it stays, and so does it", async () => {
    const shared = provider({ partition: "shared" });
    const missing = await converge(shared, exposure(), signal);
    expect(missing).toMatchObject({ state: "failed", reason: "Refused", message: /has no partition shared/ });
    const plant = (kind: string, one: object) => mode({ plant: { kind, one: { partition: "shared", ...one } } });
    await plant("node", { name: "theirs", address: "10.0.0.1" });
    await plant("pool", { name: "theirs", members: [{ name: "theirs:80", partition: "shared" }] });
    await plant("virtual", {
      name: "theirs",
      destination: "/shared/127.99.1.12:80",
      mask: "255.255.255.255",
      ipProtocol: "tcp",
      pool: "/shared/theirs",
    });
    await make(exposure(), shared);
    // The machine is there under their name.
    const read = `print(json.dumps(sorted(m.name for m in ltm.pools.pool.load(name="svc_u_1_tcp_80", partition="shared").members_s.get_collection())))`;
    expect(await sdk(read)).toEqual(["10.0.0.2:30080", "theirs:30080"]);
    const taken = exposure({
      key: { cluster: "lab", namespace: "ns", name: "taken", uid: "u-3" },
      requestedAddress: "127.99.1.12",
    });
    const clash = await converge(shared, taken, signal);
    expect(clash).toMatchObject({ state: "failed", reason: "Refused", message: /illegally shares.*\/shared\/theirs/ });
    await unmake(exposure(), shared);
    expect(await counts()).toEqual([2, 1, 0, 1, 1]);
  });

  test("wrong credentials are said, and no password is", async () => {
    const result = await converge(provider({ password: "another-secret-word" }), exposure(), signal);
    expect(result).toMatchObject({ state: "failed", reason: "Credentials" });
    expect(JSON.stringify(result)).not.toContain("another-secret-word");
    expect(() => provider({ partition: "a b" })).toThrow(/config\.partition: a letter/);
    expect(() => provider({ api: "as3", partition: "x" })).toThrow(/config\.partition: AS3/);
    expect(() => provider({ api: "soap" })).toThrow(/config\.api: one of as3, icontrol/);
  });

  test("AS3: what somebody else has declared in its place is put right, and then left alone", async () => {
    const one = provider({ api: "as3" });
    await make(exposure(), one);
    type Tenant = Record<string, Record<string, Record<string, unknown>>>;
    const now = async () => (await whole()).tenants as Record<string, Tenant>;
    const wanted = await now();
    const [tenant = ""] = Object.keys(wanted);
    const [application = ""] = Object.keys(wanted[tenant] ?? {}).filter((name) => name.startsWith("svc_"));
    const login = { method: "POST", body: JSON.stringify({ username: "admin", password }) };
    const said = await (await fetch(`${plain}/mgmt/shared/authn/login`, login)).json();
    const headers = { "x-f5-auth-token": (said as { token: { token: string } }).token.token };
    const declare = async (changed: Tenant | undefined) => {
      const declaration = { class: "ADC", schemaVersion: "3.0.0", id: tenant, [tenant]: changed };
      const body = changed && JSON.stringify({ class: "AS3", action: "deploy", declaration });
      const url = `${plain}/mgmt/shared/appsvcs/declare/${tenant}?async=true`;
      const answer = await fetch(url, { method: body ? "POST" : "DELETE", headers, ...(body ? { body } : {}) });
      expect(answer.status).toBe(202);
      await eventually("it is done", async () =>
        JSON.stringify((await now())[tenant]) === JSON.stringify(changed) ? true : undefined,
      );
    };
    const drifts: ((changed: Tenant) => Tenant | undefined)[] = [
      (changed) => {
        Object.assign(changed[application]?.["vs_tcp_80"] ?? {}, { virtualPort: 81 });
        return changed;
      },
      (changed) => {
        Object.assign(changed[application]?.["pool_tcp_80"] ?? {}, { members: [] });
        return changed;
      },
      (changed) => {
        delete changed[application];
        return changed;
      },
      () => undefined,
    ];
    for (const drift of drifts) {
      await declare(drift(structuredClone(wanted[tenant] ?? {})));
      await make(exposure(), one);
      expect(await now()).toEqual(wanted);
      expect(await converge(one, exposure(), signal)).toMatchObject({ state: "done", steps: 0 });
    }
    await unmake(exposure(), one);
  });
});
