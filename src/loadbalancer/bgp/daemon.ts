import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../../client/index.ts";
import { createTurns, type Clock, type CommandRunner, type Logger } from "../../system/index.ts";
import { isAlive, runningDaemon, signalTo } from "../daemon-process.ts";
import { birdProgram } from "./bird/program.ts";
import { frrProgram } from "./frr/program.ts";
import { BgpConfigError } from "./session.ts";
import {
  silence,
  speakerNames,
  type BgpSpeaker,
  type SpeakerName,
  type SpeakerProcess,
  type SpeakerProgram,
  type SpeakerState,
  type SpeakerVersion,
} from "./speaker.ts";

export interface SpeakerOptions {
  readonly speaker: SpeakerName;
  /** For its files. */
  readonly dir: string;
  readonly commands: CommandRunner;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** End the speaker with this process, so that routers send nothing here any more. Else it goes on, and the next start adopts it. */
  readonly release: boolean;
}

const lookPause = 500;
const restart = { first: 500, most: 30_000 };
const logLimit = 1 << 20;
/** Milliseconds that a process has to be ready for the next, and between two looks at whether it is. */
const readiness = { most: 5_000, pause: 20 };

const programs: Readonly<Record<SpeakerName, (dir: string, commands: CommandRunner) => SpeakerProgram>> = {
  bird: birdProgram,
  frr: frrProgram,
};

/** Runs a program that speaks BGP and asks it what is. */
export function startSpeaker(options: SpeakerOptions): BgpSpeaker {
  const { dir, commands, clock, signal, speaker } = options;
  const program = programs[speaker](dir, commands);
  const { product, processes } = program;
  const log = options.log.child({ component: "bgp" });
  const file = (name: string) => join(dir, name);
  const logFile = file(`${speaker}.log`);
  const listeners: (() => void)[] = [];
  const running = new Map<SpeakerProcess, number>();
  let wanted = false;
  let recover = false;
  /** It was left by an earlier start and has died since: its file is there, it is not. */
  let died = false;
  let written: string | undefined;
  /** What the processes have read; undefined: nobody knows. */
  let read: ReadonlyMap<string, string> | undefined;
  let unfit: string | undefined;
  let version: SpeakerVersion = [0, 0];
  let failure: string | undefined;
  let failures = 0;
  let notBefore = 0;
  let state = silence;
  let lookedAt: string | undefined;
  const inTurn = createTurns();
  /** The one with the sessions. */
  const main = processes.at(-1);
  const speaks = () => main !== undefined && running.has(main);

  async function prepare(): Promise<void> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await endOthers();
    unfit = await unfitness();
    for (const process of processes) {
      const pid = await runningDaemon(process.pidFile, process.config);
      died ||= pid === undefined && (await stat(process.pidFile).catch(() => undefined)) !== undefined;
      if (pid === undefined) continue;
      running.set(process, pid);
      log.info({ pid, process: basename(process.file) }, `${product} runs already and is adopted`);
    }
    wanted = running.size > 0;
    if (wanted) read = await filesOf(file("current"));
  }

  /** Another speaker that was left in this directory would tell the same routers the same. */
  async function endOthers(): Promise<void> {
    for (const name of speakerNames) {
      if (name === speaker) continue;
      const other = programs[name](dir, commands);
      const found = await Promise.all(other.processes.map(({ pidFile, config }) => runningDaemon(pidFile, config)));
      const pids = found.filter((pid) => pid !== undefined).toReversed();
      if (pids.length === 0) continue;
      const files = await filesOf(file("current"));
      if (files) await other.farewell?.(files).catch(() => {});
      for (const pid of pids) await endProcess(pid);
      await rm(file("current"), { force: true });
      log.info({ pids }, `${other.product} was left here and is ended`);
    }
  }

  async function unfitness(): Promise<string | undefined> {
    const { command, least } = program.version;
    const [name, ...args] = command;
    const { stdout, stderr } = await commands
      .run(name, args)
      .catch((error: unknown) => ({ stdout: "", stderr: messageOf(error) }));
    const [, said, major, minor] = /version ((\d+)\.(\d+)[\w.-]*)/.exec(stdout + stderr) ?? [];
    if (said === undefined) return `${product} is not installed: install the package ${program.package}`;
    version = [Number(major), Number(minor)];
    log.info({ version: said }, `BGP is spoken by ${product}`);
    return version[0] < least ? `${product} ${said} is too old: ${least} is needed` : undefined;
  }

  async function make(files: ReadonlyMap<string, string>): Promise<void> {
    const text = JSON.stringify([...files]);
    if (text !== written) {
      await write(files);
      written = text;
      if (speaks()) await reload(files);
    }
    wanted = true;
    await ensure();
  }

  async function reload(files: ReadonlyMap<string, string>): Promise<void> {
    const before = read;
    read = undefined;
    try {
      if (!(await program.reload(before, files))) return await endProcesses();
      read = files;
    } catch (error) {
      // Nobody knows what of it was read; it is said again.
      written = undefined;
      throw error;
    }
  }

  /** All files change at once: the folder is a link. What the program cannot read never gets there. */
  async function write(files: ReadonlyMap<string, string>): Promise<void> {
    const before = await readlink(file("current")).catch(() => undefined);
    const next = before === "config-a" ? "config-b" : "config-a";
    await rm(file(next), { recursive: true, force: true });
    await mkdir(file(next), { mode: 0o700 });
    for (const [name, text] of files) await writeFile(join(file(next), name), text, { mode: 0o600 });
    const refusal = await program.refusal(file(next));
    if (refusal !== undefined) throw new BgpConfigError(`${product} does not read what it is given: ${refusal}`);
    await rm(file("next"), { force: true });
    await symlink(next, file("next"));
    await rename(file("next"), file("current"));
  }

  async function ensure(): Promise<void> {
    if (!wanted) {
      failure = undefined;
      await end();
      return;
    }
    if (unfit !== undefined) {
      failure = unfit;
      return;
    }
    for (const process of processes) {
      if (signal.aborted || clock.now() < notBefore) return;
      if (!running.has(process)) await start(process);
      if (!(await isReady(process))) return;
    }
  }

  async function isReady(process: SpeakerProcess): Promise<boolean> {
    const { isReady: ask } = process;
    if (!ask) return true;
    for (let waited = 0; waited < readiness.most; waited += readiness.pause) {
      if (await ask()) return true;
      if (!running.has(process)) return false;
      await clock.sleep(readiness.pause, signal);
    }
    return false;
  }

  async function start(process: SpeakerProcess): Promise<void> {
    const out = openSync(logFile, "a", 0o600);
    const found = await stat(logFile);
    if (found.size > logLimit) await truncate(logFile);
    // It outlives this process, so that a fault of ours ends no session.
    const [first = "", ...args] = [
      // Where that is not allowed it goes on as it is. BIRD has BFD in a thread of its own: it is said before there is one.
      ...(process.isUrgent ? ["nice", "-n", "-15"] : []),
      process.file,
      ...process.args({ recover, version }),
    ];
    const child = spawn(first, args, {
      stdio: ["ignore", out, out],
      detached: true,
      cwd: dir,
    });
    closeSync(out);
    child.unref();
    child.on("error", (error) => ended(process, child.pid, messageOf(error)));
    child.on("exit", (code, by) => ended(process, child.pid, by ? `ended by ${by}` : `exit ${code ?? ""}`));
    if (child.pid !== undefined) running.set(process, child.pid);
    if (process === main) read = await filesOf(file("current"));
    failure = child.pid === undefined ? `${product} is not installed` : undefined;
  }

  /** A process is gone. The routers find out by themselves when it was the one with the sessions, as its connections are closed. */
  function ended(process: SpeakerProcess, which: number | undefined, how: string): void {
    if (which === undefined || running.get(process) !== which) return;
    running.delete(process);
    if (!speaks()) tell(silence);
    if (signal.aborted && options.release) return;
    failures++;
    recover = true;
    notBefore = clock.now() + Math.min(restart.first * 2 ** (failures - 1), restart.most);
    const name = basename(process.file);
    const what = processes.length === 1 ? product : `${product}'s ${name}`;
    if (wanted) failure = `${what} is gone (${how}); see ${logFile}`;
    log.error({ how, process: name }, `${product} is gone`);
  }

  async function end(): Promise<void> {
    const files = speaks() ? (read ?? (await filesOf(file("current")))) : undefined;
    if (files)
      await program
        .farewell?.(files)
        .catch((error: unknown) => log.warn({ error: messageOf(error) }, `${product} ends without a farewell`));
    await endProcesses();
  }

  async function endProcesses(): Promise<void> {
    for (const process of processes.toReversed()) {
      const pid = running.get(process);
      running.delete(process);
      if (pid !== undefined) await endProcess(pid);
    }
    tell(silence);
  }

  function tell(now: SpeakerState): void {
    const same = JSON.stringify(flat(now)) === JSON.stringify(flat(state));
    state = now;
    if (!same) for (const listener of listeners) listener();
  }

  async function look(): Promise<void> {
    if (!speaks()) return;
    const asked = written;
    const now = await program.look(lookedAt === asked ? state : undefined);
    if (!speaks()) return;
    lookedAt = asked;
    if (running.size === processes.length) {
      failures = 0;
      failure = undefined;
    }
    tell(now);
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(lookPause, signal).catch(() => {});
      if (signal.aborted) break;
      for (const [process, pid] of running) if (!isAlive(pid)) ended(process, pid, "found gone");
      await inTurn(ensure).catch((error: unknown) =>
        log.warn({ error: messageOf(error) }, `${product} does not start`),
      );
      await look().catch((error: unknown) => log.debug({ error: messageOf(error) }, `${product} cannot be asked`));
    }
    await inTurn(async () => {
      if (options.release) await end();
    });
  }

  const ready = inTurn(prepare);
  ready.catch(() => {});
  return {
    name: "bgp",
    product,
    ready,
    stopped: ready.then(run).catch((error: unknown) => log.error({ error: messageOf(error) }, "bgp ended")),
    check: (desired) => void program.files(desired),
    apply: (desired, { recover: mayRecover = false } = {}) =>
      inTurn(async () => {
        // At a first start there is nothing to recover, and BIRD would hold everything back until all routers have answered.
        if (failures === 0) recover = mayRecover && died;
        if (desired) return make(program.files(desired));
        wanted = false;
        await ensure();
        written = undefined;
        await rm(file("current"), { force: true });
      }),
    resume: () =>
      inTurn(async () => {
        const files = await readdir(file("current")).catch(() => [] as string[]);
        if (!files.includes(program.mainFile)) return false;
        wanted = true;
        await ensure();
        return true;
      }),
    state: () => state,
    onChange: (listener) => void listeners.push(listener),
    failure: () => failure,
  };
}

const flat = ({ sessions, bfd, prefixes }: SpeakerState) => [[...sessions], [...bfd], [...prefixes]];

async function filesOf(folder: string): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const names = await readdir(folder);
    return new Map(
      await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const)),
    );
  } catch {
    return undefined;
  }
}

/** Asks a process to end, and makes it. */
async function endProcess(pid: number): Promise<void> {
  signalTo(pid, "SIGTERM");
  for (let waited = 0; isAlive(pid) && waited < 5_000; waited += 50) await new Promise((done) => setTimeout(done, 50));
  if (isAlive(pid)) signalTo(pid, "SIGKILL");
}
