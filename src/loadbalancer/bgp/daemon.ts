import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readdir, readlink, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../client/index.ts";
import { createTurns, type Clock, type CommandRunner, type Component, type Logger } from "../../system/index.ts";
import { isAlive, runningDaemon, signalTo } from "../daemon-process.ts";
import { BgpConfigError } from "./config.ts";
import { askBird, readBfd, readProtocols, type BirdSession } from "./control.ts";

/** What BIRD said when it was asked last. */
export interface BirdState {
  /** By name of the protocol. */
  readonly sessions: ReadonlyMap<string, BirdSession>;
  /** By address of the neighbour. */
  readonly bfd: ReadonlyMap<string, "Up" | "Down">;
  /** Prefixes that were told, by name of the protocol; of sessions that are up. */
  readonly prefixes: ReadonlyMap<string, readonly string[]>;
}

/** Runs BIRD and asks it what is. */
export interface BirdDaemon extends Component {
  /** Makes this its configuration, by file; undefined ends it. Sessions that have not changed go on. Throws BgpConfigError. */
  apply(files: ReadonlyMap<string, string> | undefined, options?: { readonly recover?: boolean }): Promise<void>;
  /** Starts with the configuration that an earlier start has left, where there is one. Whether there was. */
  resume(): Promise<boolean>;
  state(): BirdState;
  /** Called when `state` has changed. */
  onChange(listener: () => void): void;
  /** Why it does not run; undefined while it does, or has nothing to do. */
  failure(): string | undefined;
}

export interface BirdDaemonOptions {
  /** For its files. */
  readonly dir: string;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** End BIRD with this process, so that routers send nothing here any more. Else it goes on, and the next start adopts it. */
  readonly release: boolean;
}

const lookPause = 500;
const restart = { first: 500, most: 30_000 };
const logLimit = 1 << 20;
const nothing: BirdState = { sessions: new Map(), bfd: new Map(), prefixes: new Map() };

export function startBirdDaemon(options: BirdDaemonOptions): BirdDaemon {
  const { dir, commands, clock, signal } = options;
  const log = options.log.child({ component: "bgp" });
  const file = (name: string) => join(dir, name);
  const config = file("current/bird.conf");
  const control = file("bird.ctl");
  const listeners: (() => void)[] = [];
  let wanted = false;
  let recover = false;
  let written: string | undefined;
  let pid: number | undefined;
  let failure: string | undefined;
  let failures = 0;
  let notBefore = 0;
  let state = nothing;
  const inTurn = createTurns();

  async function prepare(): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    pid = await runningDaemon(file("bird.pid"), config);
    wanted = pid !== undefined;
    if (pid !== undefined) log.info({ pid }, "BIRD runs already and is adopted");
  }

  async function make(files: ReadonlyMap<string, string>): Promise<void> {
    const text = JSON.stringify([...files]);
    if (text !== written) {
      await write(files);
      written = text;
      if (pid !== undefined) await askBird(control, "configure").catch((error: unknown) => configured(error));
    }
    wanted = true;
    await ensure();
  }

  function configured(error: unknown): void {
    // It has read none of it; the next start of it will.
    written = undefined;
    throw error;
  }

  /** All files change at once: the folder is a link. What BIRD cannot read never gets there. */
  async function write(files: ReadonlyMap<string, string>): Promise<void> {
    const before = await readlink(file("current")).catch(() => undefined);
    const next = before === "config-a" ? "config-b" : "config-a";
    await rm(file(next), { recursive: true, force: true });
    await mkdir(file(next), { mode: 0o700 });
    for (const [name, text] of files) await writeFile(join(file(next), name), text, { mode: 0o600 });
    const { code, stderr, stdout } = await commands.run("bird", ["-p", "-c", join(file(next), "bird.conf")]);
    if (code !== 0) throw new BgpConfigError(`BIRD does not read what it is given: ${(stderr || stdout).trim()}`);
    await rm(file("next"), { force: true });
    await symlink(next, file("next"));
    await rename(file("next"), file("current"));
  }

  async function ensure(): Promise<void> {
    if (!wanted) {
      failure = undefined;
      if (pid !== undefined) await end();
    } else if (pid === undefined && clock.now() >= notBefore && !signal.aborted) await start();
  }

  async function start(): Promise<void> {
    const out = openSync(file("bird.log"), "a", 0o600);
    const found = await stat(file("bird.log"));
    if (found.size > logLimit) await truncate(file("bird.log"));
    const args = ["-f", "-c", config, "-s", control, "-P", file("bird.pid"), ...(recover ? ["-R"] : [])];
    // It outlives this process, so that a fault of ours ends no session.
    const child = spawn("bird", args, { stdio: ["ignore", out, out], detached: true, cwd: dir });
    closeSync(out);
    child.unref();
    child.on("error", (error) => ended(undefined, messageOf(error)));
    child.on("exit", (code, by) => ended(child.pid, by ? `ended by ${by}` : `exit ${code ?? ""}`));
    pid = child.pid;
    failure = pid === undefined ? "BIRD is not installed" : undefined;
  }

  /** BIRD is gone: the routers find out by themselves, as its connections are closed. */
  function ended(which: number | undefined, how: string): void {
    if (which !== undefined && which !== pid) return;
    pid = undefined;
    tell(nothing);
    if (signal.aborted && options.release) return;
    failures++;
    recover = true;
    notBefore = clock.now() + Math.min(restart.first * 2 ** (failures - 1), restart.most);
    if (wanted) failure = `BIRD is gone (${how}); see ${file("bird.log")}`;
    log.error({ how }, "BIRD is gone");
  }

  async function end(): Promise<void> {
    const which = pid;
    pid = undefined;
    if (which === undefined) return;
    signalTo(which, "SIGTERM");
    for (let waited = 0; isAlive(which) && waited < 5_000; waited += 50)
      await new Promise((done) => setTimeout(done, 50));
    if (isAlive(which)) signalTo(which, "SIGKILL");
    tell(nothing);
  }

  function tell(now: BirdState): void {
    const same = JSON.stringify(flat(now)) === JSON.stringify(flat(state));
    state = now;
    if (!same) for (const listener of listeners) listener();
  }

  async function look(): Promise<void> {
    if (pid === undefined) return;
    const sessions = readProtocols(await askBird(control, "show protocols all"));
    const bfd = readBfd(await askBird(control, "show bfd sessions").catch(() => []));
    const prefixes = new Map<string, readonly string[]>();
    for (const [name, { state: is, exported }] of sessions) {
      if (is !== "Established" || exported === 0) continue;
      const before = state.sessions.get(name);
      const known = state.prefixes.get(name);
      // The list is asked for only when it may be another.
      const isSame = known && before?.exported === exported && written === lookedAt;
      prefixes.set(name, isSame ? known : readPrefixes(await askBird(control, `show route export ${name}`)));
    }
    lookedAt = written;
    failures = 0;
    failure = undefined;
    tell({ sessions, bfd, prefixes });
  }
  let lookedAt: string | undefined;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(lookPause, signal).catch(() => {});
      if (signal.aborted) break;
      if (pid !== undefined && !isAlive(pid)) ended(pid, "found gone");
      await inTurn(ensure).catch((error: unknown) => log.warn({ error: messageOf(error) }, "BIRD does not start"));
      await look().catch((error: unknown) => log.debug({ error: messageOf(error) }, "BIRD cannot be asked"));
    }
    await inTurn(async () => {
      if (options.release) await end();
    });
  }

  const ready = inTurn(prepare);
  ready.catch(() => {});
  return {
    name: "bgp",
    ready,
    stopped: ready.then(run).catch((error: unknown) => log.error({ error: messageOf(error) }, "bgp ended")),
    apply: (files, { recover: mayRecover = false } = {}) =>
      inTurn(async () => {
        if (failures === 0) recover = mayRecover;
        if (files) return make(files);
        wanted = false;
        await ensure();
        written = undefined;
        await rm(file("current"), { force: true });
      }),
    resume: () =>
      inTurn(async () => {
        const files = await readdir(file("current")).catch(() => [] as string[]);
        if (!files.includes("bird.conf")) return false;
        wanted = true;
        await ensure();
        return true;
      }),
    state: () => state,
    onChange: (listener) => void listeners.push(listener),
    failure: () => failure,
  };
}

const flat = ({ sessions, bfd, prefixes }: BirdState) => [[...sessions], [...bfd], [...prefixes]];

/** Reads `show route export NAME`: the prefixes, in order. */
function readPrefixes(lines: readonly string[]): string[] {
  const found = lines.flatMap((line) => /^([0-9a-fA-F:.]+\/\d+)\s/.exec(line)?.[1] ?? []);
  return [...new Set(found)].sort();
}
