import { closeSync, constants, openSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { bitsOf, formatIp, parseIp } from "../../kube/index.ts";
import { messageOf } from "../../client/index.ts";
import {
  createTurns,
  runOrThrow,
  type Clock,
  type CommandRunner,
  type Component,
  type Logger,
} from "../../system/index.ts";
import { isAlive, runningDaemon, signalTo } from "../daemon-process.ts";
import { interfaceName, keepalivedConfig, VipConfigError, type VipFiles } from "./config.ts";
import { startGuarded } from "./guard.ts";
import type { VrrpInstance } from "./plan.ts";

/** Runs keepalived and looks after the addresses that it puts on this node. */
export interface VipDaemon extends Component {
  /** Makes it so. What has not changed is not touched; a change of who is barred needs no reload. Throws VipConfigError. */
  apply(instances: readonly VrrpInstance[]): Promise<void>;
  /** Starts with the instances that an earlier start has left, where there are any and keepalived does not run. Whether there were. */
  resume(): Promise<boolean>;
  /** Names of instances whose addresses this node holds. */
  holds(): ReadonlySet<string>;
  /** Bars instances beside those that are barred by their plan, until they are given up; then lets them run again. */
  giveUp(names: readonly string[]): Promise<void>;
  /** Called when what this node holds has changed. */
  onChange(listener: () => void): void;
  /** Why it does not run; undefined while it does, or has nothing to do. */
  failure(): string | undefined;
}

export interface VipDaemonOptions {
  /** For its files. */
  readonly dir: string;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** End keepalived with this process, so that others take over at once. Else it goes on, and the next start adopts it. */
  readonly release: boolean;
}

/** Milliseconds between two looks at whether the daemon lives. */
const lookPause = 100;
/** Milliseconds before the daemon is started again; doubled up to the most. */
const restart = { first: 500, most: 30_000 };
/** Milliseconds that an instance stays barred when it is given up: longer than the others need to take over. */
const giveUpTime = 1_000;
const logLimit = 1 << 20;

interface Recorded {
  readonly addresses: readonly { readonly address: string; readonly device: string }[];
}

export function startVipDaemon(options: VipDaemonOptions): VipDaemon {
  const { dir, commands, clock, signal } = options;
  const log = options.log.child({ component: "vip" });
  const file = (name: string) => join(dir, name);
  const files: VipFiles = {
    config: file("keepalived.conf"),
    fifo: file("notify.fifo"),
    bar: (instance) => file(`bar-${instance}`),
  };
  const listeners: (() => void)[] = [];
  let wanted: readonly VrrpInstance[] = [];
  let config = "";
  /** Process of keepalived; undefined: it does not run. */
  let pid: number | undefined;
  /** The guard of the last one is there: until it is gone it may still take addresses off. */
  let guarded = false;
  let failure: string | undefined;
  let held: ReadonlySet<string> = new Set();
  let failures = 0;
  let notBefore = 0;
  const given = new Set<string>();
  const barred = new Map<string, string>();
  /** Work on the daemon is done one after the other. */
  const inTurn = createTurns();
  const devices = new Map<string, string>();

  async function prepare(): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const isFifo = await stat(files.fifo).then(
      (one) => one.isFIFO(),
      () => false,
    );
    if (!isFifo) {
      await rm(files.fifo, { force: true });
      await runOrThrow(commands, "mkfifo", ["-m", "0600", files.fifo]);
    }
    config = await readFile(files.config, "utf8").catch(() => "");
    pid = await runningDaemon(file("keepalived.pid"), files.config);
    if (pid === undefined) await clean();
    else log.info({ pid }, "keepalived runs already and is adopted");
    listen();
  }

  /** States come as lines in a pipe, so no script is run. They say that something changed; what is held the kernel says. */
  function listen(): void {
    // Open for writing as well, so that there is no end of file while keepalived is away. As a socket it is waited for without a thread.
    const fd = openSync(files.fifo, constants.O_RDWR | constants.O_NONBLOCK);
    const stream = new Socket({ fd, readable: true, writable: false });
    stream.on("error", (error) => log.warn({ error: messageOf(error) }, "keepalived's states cannot be read"));
    stream.unref();
    const lines = createInterface({ input: stream });
    lines.on("line", () => void look().catch(() => {}));
    signal.addEventListener("abort", () => stream.destroy(), { once: true });
  }

  /** Asks the kernel which of the addresses are here. */
  async function look(): Promise<void> {
    const found = new Set(await addressesHere());
    const now = new Set(wanted.filter(({ addresses: [first] }) => first && found.has(first)).map(({ name }) => name));
    const same = now.size === held.size && [...now].every((name) => held.has(name));
    held = now;
    if (!same) for (const listener of listeners) listener();
  }

  async function addressesHere(): Promise<string[]> {
    const list = JSON.parse((await runOrThrow(commands, "ip", ["-j", "address", "show"])) || "[]") as {
      addr_info?: { local?: string }[];
    }[];
    return list.flatMap(({ addr_info = [] }) => addr_info.flatMap(({ local }) => (local ? [local] : [])));
  }

  /** Takes off this node what a daemon that is gone has left. Only addresses that were written down as ours are touched. */
  async function clean(): Promise<void> {
    const text = await readFile(file("addresses.json"), "utf8").catch(() => "");
    if (!text) return;
    const { addresses } = JSON.parse(text) as Recorded;
    const here = new Set(await addressesHere());
    const lines = addresses.filter(({ address }) => here.has(address)).map(offLine);
    if (lines.length > 0) {
      await commands.run("ip", ["-batch", "-", "-force"], { input: lines.join("") });
      log.warn({ count: lines.length }, "addresses of a keepalived that is gone were taken off");
    }
    await look();
  }

  async function start(): Promise<void> {
    const out = openSync(file("keepalived.log"), "a", 0o600);
    await truncateLarge(file("keepalived.log"));
    const args = [
      "-n",
      "-P",
      "-R",
      "-l",
      "-G",
      "-f",
      files.config,
      "-p",
      file("keepalived.pid"),
      "-r",
      file("vrrp.pid"),
    ];
    guarded = true;
    const started = await startGuarded(["keepalived", ...args], file("addresses.off"), out);
    closeSync(out);
    pid = started.pid;
    failure = pid === undefined ? "keepalived is not installed" : undefined;
    void started.ended.then((how) => {
      guarded = false;
      // A guard that was killed leaves the daemon as it is.
      if (started.pid === undefined || !isAlive(started.pid)) ended(started.pid, how);
    });
  }

  /** keepalived is gone. Another node takes over now: nothing may be left here. */
  function ended(which: number | undefined, how: string): void {
    if (which !== undefined && which !== pid) return;
    pid = undefined;
    if (signal.aborted && options.release) return;
    failures++;
    notBefore = clock.now() + Math.min(restart.first * 2 ** (failures - 1), restart.most);
    if (wanted.length > 0) failure = `keepalived is gone (${how}); see ${file("keepalived.log")}`;
    log.error({ how }, "keepalived is gone");
    inTurn(clean).catch((error: unknown) => log.error({ error: messageOf(error) }, "addresses were not taken off"));
  }

  async function interfaces(): Promise<void> {
    const list = JSON.parse((await runOrThrow(commands, "ip", ["-j", "address", "show"])) || "[]") as {
      ifname: string;
      addr_info?: { local?: string }[];
    }[];
    devices.clear();
    for (const { ifname, addr_info = [] } of list)
      for (const { local } of addr_info) if (local) devices.set(local, ifname);
  }

  const deviceOf = ({ interface: named, source }: VrrpInstance): string => {
    const device = named ?? devices.get(source);
    if (!device) throw new VipConfigError(`no interface has the node's address ${source}`);
    return device;
  };

  async function bar(name: string, value: string): Promise<void> {
    if (barred.get(name) === value) return;
    // In place: keepalived watches the file itself.
    await writeFile(files.bar(name), `${value}\n`, { mode: 0o600 });
    barred.set(name, value);
  }

  const barOf = ({ name, barred: why }: VrrpInstance) => (why !== undefined || given.has(name) ? "1" : "0");

  async function make(instances: readonly VrrpInstance[]): Promise<void> {
    await interfaces();
    const text = keepalivedConfig(instances, files, deviceOf);
    const gone = wanted.filter(({ name }) => !instances.some((one) => one.name === name));
    wanted = instances;
    for (const one of instances) await bar(one.name, barOf(one));
    if (text !== config || (await readFile(files.config, "utf8").catch(() => "")) !== text) {
      const addresses = instances.flatMap((one) =>
        one.addresses.map((address) => ({ address, device: deviceOf(one) })),
      );
      // What may be on the node is written down before it is there.
      await record([...(await recordedNow()), ...addresses]);
      await replaceFile(files.config, text);
      await replaceFile(file("instances.json"), JSON.stringify(instances));
      config = text;
      if (pid !== undefined && instances.length > 0) process.kill(pid, "SIGHUP");
      if (pid !== undefined) await record(addresses);
    }
    for (const { name } of gone) {
      barred.delete(name);
      await rm(files.bar(name), { force: true });
    }
    await ensure();
    await look();
  }

  /** For `clean`, and as what the guard does. */
  async function record(addresses: Recorded["addresses"]): Promise<void> {
    const recorded: Recorded = { addresses };
    await replaceFile(file("addresses.off"), [...new Set(addresses.map(offLine))].join(""));
    await replaceFile(file("addresses.json"), JSON.stringify(recorded));
  }

  async function recordedNow(): Promise<Recorded["addresses"]> {
    const text = await readFile(file("addresses.json"), "utf8").catch(() => "");
    return text ? (JSON.parse(text) as Recorded).addresses : [];
  }

  /** Starts or ends keepalived, as there is something for it to do or not. */
  async function ensure(): Promise<void> {
    if (wanted.length === 0) {
      failure = undefined;
      if (pid !== undefined) await end();
    } else if (pid === undefined && !guarded && clock.now() >= notBefore && !signal.aborted) await start();
  }

  async function end(): Promise<void> {
    const which = pid;
    pid = undefined;
    if (which === undefined) return;
    signalTo(which, "SIGTERM");
    for (let waited = 0; isAlive(which) && waited < 5_000; waited += 50)
      await new Promise((done) => setTimeout(done, 50));
    if (isAlive(which)) signalTo(which, "SIGKILL");
    await clean();
  }

  async function run(): Promise<void> {
    for (let looks = 0; !signal.aborted; looks++) {
      await clock.sleep(lookPause, signal).catch(() => {});
      if (signal.aborted) break;
      if (pid !== undefined && !isAlive(pid)) ended(pid, "found gone");
      if (pid === undefined && wanted.length > 0) await inTurn(ensure).catch(() => {});
      else if (pid !== undefined && looks % 100 === 99) failures = 0;
      // What someone else takes off or puts on a node is seen as well.
      if (looks % 20 === 19) await look().catch(() => {});
    }
    await inTurn(async () => {
      if (options.release) await end();
    });
  }

  const ready = inTurn(prepare);
  ready.catch(() => {});
  return {
    name: "vip",
    ready,
    stopped: ready.then(run).catch((error: unknown) => log.error({ error: messageOf(error) }, "vip ended")),
    apply: (instances) => inTurn(() => make(instances)),
    resume: () =>
      inTurn(async () => {
        const text = pid === undefined ? await readFile(file("instances.json"), "utf8").catch(() => "[]") : "[]";
        const instances = JSON.parse(text) as readonly VrrpInstance[];
        if (instances.length > 0) await make(instances);
        return instances.length > 0;
      }),
    holds: () => held,
    onChange: (listener) => void listeners.push(listener),
    failure: () => failure,
    async giveUp(names) {
      for (const name of names) given.add(name);
      await inTurn(async () => {
        for (const one of wanted) if (given.has(one.name)) await bar(one.name, barOf(one));
      });
      await clock.sleep(giveUpTime, signal).catch(() => {});
      for (const name of names) given.delete(name);
      await inTurn(async () => {
        for (const one of wanted) if (names.includes(one.name)) await bar(one.name, barOf(one));
      });
    },
  };
}

/** Takes an address off, in the words of `ip -batch`; "" for what is no address. */
function offLine({ address, device }: Recorded["addresses"][number]): string {
  const ip = parseIp(address);
  return ip ? `address delete ${formatIp(ip)}/${bitsOf(ip.family)} dev ${interfaceName(device)}\n` : "";
}

async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function truncateLarge(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found && found.size > logLimit) await truncate(path);
}
