import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Logger } from "../../system/index.ts";

/** A running nginx: a master that is started again when it ends by itself. */
export interface NginxProcess {
  readonly pid: number | undefined;
  /** No new connections; what is in flight gets `grace` milliseconds. */
  stop(grace: number): Promise<void>;
  /** Settles when no worker takes connections any more: after `stop` was called. */
  deaf(): Promise<void>;
}

/** Milliseconds before a master that ended is started again; doubled up to the last. */
const pauses = { first: 50, last: 5_000 };

export interface ProcessOptions {
  readonly log: Logger;
  readonly onStart: () => void;
  /** Listening sockets that it inherits, as they are when it starts. */
  readonly sockets: () => readonly number[];
}

/** The first descriptor that is handed over. */
const firstFd = 3;

export function startProcess(
  file: string,
  args: readonly string[],
  { log, onStart, sockets }: ProcessOptions,
): NginxProcess {
  let child: ChildProcess | undefined;
  let stopping = false;
  let pause = pauses.first;
  let ended: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  function start(): void {
    onStart();
    const inherited = sockets();
    // Nothing else of ours goes along: no variables, no open files. By this one nginx knows what to take over, as from an nginx before it.
    const taken = inherited.map((_, index) => `${firstFd + index};`).join("");
    const next = spawn(file, args, {
      stdio: ["ignore", "ignore", "pipe", ...inherited],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...(taken === "" ? {} : { NGINX: taken }) },
      // A group of its own, so that workers whose master was killed can be found.
      detached: true,
    });
    child = next;
    const begun = performance.now();
    let rest = "";
    next.stderr?.on("data", (chunk: Buffer) => {
      const said = (rest + chunk.toString()).split("\n");
      rest = (said.pop() ?? "").slice(-4096);
      for (const line of said) tell(line);
    });
    ended = new Promise((resolve) => {
      const over = (why: string): void => {
        if (child === next) child = undefined;
        resolve();
        // Workers do not notice the end of their master, and would keep its ports.
        if (next.pid !== undefined) signalGroup(next.pid, "SIGQUIT");
        if (stopping) return;
        log.error({ why }, "nginx ended and is started again");
        pause = performance.now() - begun > 10_000 ? pauses.first : Math.min(pause * 2, pauses.last);
        timer = setTimeout(start, pause);
      };
      next.once("error", (error) => over(error.message));
      next.once("exit", (code, signal) => over(signal ?? `exit ${code}`));
    });
  }

  function tell(line: string): void {
    const text = line.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, "");
    if (/^\[(?:emerg|alert|crit)\]/.test(text)) log.error({ text }, "nginx");
    else if (text !== "") log.debug({ text }, "nginx");
  }

  start();
  return {
    get pid() {
      return child?.pid;
    },
    async deaf() {
      const workers = child?.pid === undefined ? [] : await workersOf(child.pid);
      for (const worker of workers) while (await accepts(worker)) await wait(5);
    },
    async stop(grace) {
      stopping = true;
      clearTimeout(timer);
      const last = child;
      if (!last) return;
      last.kill("SIGQUIT");
      const patience = new AbortController();
      const late = wait(grace, undefined, { signal: patience.signal }).then(
        () => last.kill("SIGTERM"),
        () => {},
      );
      await ended;
      patience.abort();
      await late;
    },
  };
}

async function workersOf(master: number): Promise<number[]> {
  const text = await readFile(`/proc/${master}/task/${master}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

/** Whether a worker still takes connections: one that has been told to end says so in its title. */
async function accepts(worker: number): Promise<boolean> {
  return /worker process\0*$/.test(await readFile(`/proc/${worker}/cmdline`, "utf8").catch(() => ""));
}

/** Signals a process and its children; what is gone already is left alone. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // There is none any more.
  }
}

/**
 * Ends each nginx that an earlier start in the same folder left behind: their requests in flight get
 * `grace` milliseconds.
 */
export async function endEarlier(directory: string, grace: number): Promise<void> {
  const files = await readdir(directory).catch(() => []);
  const pids = files.filter((file) => /^nginx(?:\.\d+)?\.pid$/.test(file));
  await Promise.all(pids.map((file) => endOne(join(directory, file), directory, grace)));
}

async function endOne(pidFile: string, directory: string, grace: number): Promise<void> {
  const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
  if (!Number.isSafeInteger(pid) || pid <= 1) return;
  const alive = async (): Promise<boolean> =>
    (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes(`${directory}/`);
  if (!(await alive())) return;
  signalGroup(pid, "SIGQUIT");
  for (let waited = 0; waited < grace; waited += 20) {
    if (!(await alive())) return;
    await wait(20);
  }
  signalGroup(pid, "SIGKILL");
}
