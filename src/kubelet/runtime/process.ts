import { randomBytes } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import type { Clock } from "../../system/index.ts";
import type { PodNetwork } from "../network/network.ts";
import { environmentOf, execWithin } from "./exec.ts";
import { findCommand } from "./find-command.ts";
import { findImage, type ImageMap } from "./images.ts";
import { readInterfaces } from "../stats/interfaces.ts";
import { readProcesses } from "../stats/processes.ts";
import type { Isolation } from "./isolation.ts";
import { openMountPoints } from "./mount-points.ts";
import { type ContainerConfig, type Runtime, RuntimeError } from "./runtime.ts";
import { connectWithin } from "./connect-within.ts";
import {
  connectSupervisor,
  runDirectory,
  runtimeDirectory,
  stopSupervisor,
  supervisorSocket,
} from "./supervisor/connection.ts";
import { openStreams } from "./supervisor/stream-client.ts";
import { type StreamRequest, streamSocket } from "./supervisor/stream-protocol.ts";
import { terminationMessage } from "./termination-message.ts";
import type { HeldContainer, Program, SandboxRecord } from "./supervisor/protocol.ts";

export interface ProcessRuntimeOptions {
  /** Directory of this node's runtime; the supervisor's records live in it. */
  readonly dir: string;
  readonly network: PodNetwork;
  readonly isolation: Isolation;
  readonly images: ImageMap;
  readonly clock: Clock;
  /** How the supervisor is started, where it is not this package's own. */
  readonly supervisor?: readonly string[];
}

/** A killed process that has not gone after this long hangs in the kernel. */
const lastResortMs = 30_000;

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Containers as plain processes of this machine, held by a supervisor that outlives the kubelet. Images are commands.
 * `close` ends the connection and leaves the containers running.
 */
export function createProcessRuntime(options: ProcessRuntimeOptions): Runtime & { close(): void } {
  const { network, isolation, images, clock } = options;
  const listeners = new Set<(podUid: string | undefined) => void>();
  const supervisor = connectSupervisor({
    dir: runtimeDirectory(options.dir),
    onChange: (podUid) => {
      for (const listener of listeners) listener(podUid);
      for (const waiter of exitWaiters) waiter();
    },
    ...(options.supervisor ? { program: options.supervisor } : {}),
  });
  const streamsPath = streamSocket(supervisorSocket(runtimeDirectory(options.dir)));
  /** Between create and start; a kubelet that dies there leaves a container that never ran. */
  const programs = new Map<string, Program | RuntimeError>();
  const exitWaiters = new Set<() => void>();
  /** What containers that have ended said of it: read once. */
  const messages = new Map<string, string | undefined>();

  const listed = (podUid?: string) => supervisor.call("list", podUid === undefined ? {} : { podUid });

  const containerOf = async (id: string): Promise<HeldContainer> => {
    const container = (await listed()).containers.find((container) => container.id === id);
    if (!container) throw new RuntimeError("NOT_FOUND", `no container ${id}`);
    return container;
  };

  const runningContainer = async (id: string): Promise<HeldContainer & { readonly pid: number }> => {
    const container = await containerOf(id);
    const { pid, state } = container;
    if (state !== "running" || pid === undefined) throw new RuntimeError("NOT_FOUND", `container ${id} does not run`);
    return { ...container, pid };
  };

  /** A further command of a container: in its namespaces, as its user, in its directory, with its environment. */
  const programWithin = async (id: string, command: readonly string[]): Promise<Program> => {
    const { pid, within, cwd } = await runningContainer(id);
    const argv = [...isolation.entering(pid), ...within, ...command];
    return { argv, env: environmentOf(pid), ...(cwd === undefined ? {} : { cwd }) };
  };

  const exited = async (id: string, ms: number): Promise<boolean> => {
    const end = clock.now() + ms;
    for (;;) {
      // The news may come while the list is on its way, so the wait begins before it is asked for.
      const woken = new AbortController();
      const wake = (): void => woken.abort();
      exitWaiters.add(wake);
      try {
        const container = (await listed()).containers.find((container) => container.id === id);
        if (container?.state !== "running") return true;
        const left = end - clock.now();
        if (left <= 0) return false;
        await clock.sleep(left, woken.signal).catch(() => {});
      } finally {
        exitWaiters.delete(wake);
      }
    }
  };

  /** What to run; when it is known already that it cannot start, why: that is told when it is started. */
  const programOf = (
    config: ContainerConfig,
    sandbox: SandboxRecord,
    starting: readonly string[],
  ): Program | RuntimeError => {
    const image = findImage(images, config.image);
    // As with a real image: `command` replaces its entry point and drops its arguments, `args` alone are added to it.
    const [name = "", ...args] = [...(config.command ?? image.command), ...(config.args ?? [])];
    const address = sandbox.addresses[0];
    const shared = address !== undefined && sandbox.netns === undefined;
    const env = {
      PATH: process.env["PATH"] ?? defaultPath,
      ...(shared ? { POD_IP: address } : {}),
      ...(isolation.mounts || config.mounts.length === 0 ? {} : { FAIRLEAD_VOLUMES: config.volumesDirectory }),
      ...config.env,
    };
    const cwd = config.workingDir ?? "/";
    // What is mounted may bring files that are not there outside: then only the start can tell.
    const known = !isolation.mounts || config.mounts.length === 0;
    try {
      if (known && !existsSync(cwd)) throw new RuntimeError("START_FAILED", `workingDir "${cwd}" does not exist`);
      const file = known ? findCommand(name, env.PATH, cwd) : name;
      const before = [...starting, ...isolation.within(config)];
      const { tty, stdin, stdinOnce } = config;
      return {
        argv: [...before, file, ...args],
        env: tty ? { TERM: "xterm", ...env } : env,
        ...(before.length > 0 ? {} : { cwd }),
        ...(tty ? { tty } : {}),
        ...(stdin ? { stdin } : {}),
        ...(stdinOnce ? { stdinOnce } : {}),
      };
    } catch (error) {
      if (error instanceof RuntimeError) return error;
      throw error;
    }
  };

  const withMessage = async (container: HeldContainer): Promise<HeldContainer> => {
    const { id, state, terminationLog, message: known } = container;
    if (state !== "exited" || !terminationLog || known !== undefined) return container;
    if (!messages.has(id)) messages.set(id, await terminationMessage(terminationLog, container, clock));
    const message = messages.get(id);
    return message === undefined ? container : { ...container, message };
  };

  const removeContainer = async (id: string): Promise<void> => {
    programs.delete(id);
    messages.delete(id);
    await supervisor.call("deleteContainer", { id });
  };

  const stopContainer = async (id: string, graceMs: number): Promise<void> => {
    const { containers } = await listed();
    const container = containers.find((container) => container.id === id);
    if (container?.state !== "running") return;
    if (graceMs > 0) {
      await supervisor.call("signalContainer", { id, signal: container.stopSignal });
      if (await exited(id, graceMs)) return;
    }
    await supervisor.call("signalContainer", { id, signal: "SIGKILL" });
    if (!(await exited(id, lastResortMs))) throw new RuntimeError("TIMEOUT", `container ${id} does not die`);
  };

  const stopSandbox = async (id: string): Promise<void> => {
    const { containers, sandboxes } = await listed();
    await Promise.all(containers.filter((c) => c.sandboxId === id).map((c) => stopContainer(c.id, 0)));
    isolation.closeSandbox(id);
    await network.detach(id);
    const sandbox = sandboxes.find((sandbox) => sandbox.id === id);
    if (sandbox?.ready) await supervisor.call("putSandbox", { sandbox: { ...sandbox, ready: false } });
  };

  return {
    version: "process://1.0.0",
    onChange: (listener) => void listeners.add(listener),
    close: () => supervisor.close(),
    async ensureImage(name) {
      const { id, user } = findImage(images, name);
      return { id, ...(user === undefined ? {} : { user }) };
    },
    async createSandbox(config) {
      const id = randomBytes(6).toString("hex");
      const { podUid, namespace, name, attempt, hostname } = config;
      const attached = config.hostNetwork ? { addresses: [] } : await network.attach(id, config.hostPorts);
      const sandbox = {
        id,
        podUid,
        namespace,
        name,
        attempt,
        hostname,
        createdAt: clock.now(),
        ready: true,
        ...attached,
      };
      try {
        isolation.openSandbox(sandbox, config);
        await supervisor.call("putSandbox", { sandbox });
      } catch (error) {
        isolation.closeSandbox(id);
        await network.detach(id);
        throw error;
      }
      return sandbox;
    },
    stopSandbox,
    async removeSandbox(id) {
      await stopSandbox(id);
      const { containers } = await listed();
      await Promise.all(containers.filter((c) => c.sandboxId === id).map((c) => removeContainer(c.id)));
      await supervisor.call("deleteSandbox", { id });
    },
    async createContainer(config) {
      const image = findImage(images, config.image);
      const { sandboxes } = await listed(config.podUid);
      const sandbox = sandboxes.find((sandbox) => sandbox.id === config.sandboxId);
      if (!sandbox) throw new RuntimeError("NOT_FOUND", `no sandbox ${config.sandboxId}`);
      const id = randomBytes(32).toString("hex");
      const { podUid, name, attempt, logPath, stopSignal, terminationLog } = config;
      try {
        const starting = isolation.starting(id, sandbox, config);
        const container: HeldContainer = {
          id,
          sandboxId: sandbox.id,
          podUid,
          name,
          attempt,
          logPath,
          stopSignal,
          ...(terminationLog ? { terminationLog } : {}),
          within: isolation.within(config),
          ...(isolation.mounts || config.workingDir === undefined ? {} : { cwd: config.workingDir }),
          image: config.image,
          imageId: image.id,
          createdAt: clock.now(),
          state: "created",
        };
        await supervisor.call("putContainer", { container });
        programs.set(id, programOf(config, sandbox, starting));
      } catch (error) {
        await removeContainer(id);
        throw error;
      }
      return id;
    },
    async startContainer(id) {
      const program = programs.get(id);
      if (!program) throw new RuntimeError("NOT_FOUND", `container ${id} is not prepared`);
      programs.delete(id);
      if (program instanceof RuntimeError) {
        const at = clock.now();
        const ended = { state: "exited", startedAt: at, finishedAt: at, exitCode: 128, reason: "StartError" } as const;
        const container = { ...(await containerOf(id)), ...ended, message: program.message };
        await supervisor.call("putContainer", { container });
        throw program;
      }
      try {
        const { pid } = await supervisor.call("startContainer", { id, program });
        await isolation.started(id, pid);
      } catch (error) {
        throw new RuntimeError("START_FAILED", error instanceof Error ? error.message : String(error), {
          cause: error,
        });
      }
    },
    stopContainer,
    removeContainer,
    async list(podUid) {
      const { sandboxes, containers } = await listed(podUid);
      const attached = await Promise.all(
        sandboxes.map(async (sandbox) => ({
          ...sandbox,
          ready: sandbox.ready && (sandbox.addresses.length === 0 || (await network.isAttached(sandbox.id))),
        })),
      );
      return { sandboxes: attached, containers: await Promise.all(containers.map(withMessage)) };
    },
    async exec(id, command, { timeoutMs }) {
      return execWithin({ ...(await programWithin(id, command)), timeoutMs });
    },
    async execStreams(id, command, { tty, stdin }) {
      const { env, ...program } = await programWithin(id, command);
      const request = {
        type: "exec",
        id,
        tty,
        stdin,
        program: { ...program, env: tty ? { TERM: "xterm", ...env } : env },
      };
      return openStreams(streamsPath, request as StreamRequest);
    },
    async attach(id, { stdin }) {
      await runningContainer(id);
      return openStreams(streamsPath, { type: "attach", id, stdin });
    },
    async stats() {
      const { containers, sandboxes } = await listed();
      const processes = readProcesses();
      const apart = new Set(sandboxes.flatMap(({ id, netns }) => (netns === undefined ? [] : [id])));
      return containers.flatMap(({ id, sandboxId, state, pid }) => {
        if (state !== "running" || pid === undefined) return [];
        const interfaces = apart.has(sandboxId) ? { interfaces: readInterfaces(pid) } : {};
        return [{ id, ...processes.tree(pid), ...interfaces }];
      });
    },
    async portForward(sandboxId, port) {
      const { sandboxes, containers } = await listed();
      const sandbox = sandboxes.find(({ id }) => id === sandboxId);
      if (!sandbox?.ready) throw new RuntimeError("NOT_FOUND", `sandbox ${sandboxId} does not run`);
      const inside = containers.find((one) => one.sandboxId === sandboxId && one.state === "running");
      if (sandbox.netns !== undefined && inside?.pid === undefined)
        throw new RuntimeError("NOT_FOUND", `no container of sandbox ${sandboxId} runs`);
      // Without namespaces the pod's own address is what localhost is to it.
      const hosts = sandbox.netns === undefined && sandbox.addresses[0] ? [sandbox.addresses[0]] : ["127.0.0.1", "::1"];
      return connectWithin({ hosts, port, ...(sandbox.netns === undefined ? {} : { pid: inside?.pid }) });
    },
  };
}

/**
 * Ends every container of the runtime in `dir` and the supervisor that held them: for `fairlead down`. No kubelet may be
 * running on it. What is known of the pods stays, so that a later start goes on as after a restart of the machine.
 */
export async function stopProcessRuntime(dir: string): Promise<void> {
  await stopSupervisor(runtimeDirectory(dir));
  openMountPoints(runtimeDirectory(dir)).removeUnused();
  rmSync(runDirectory(runtimeDirectory(dir)), { recursive: true, force: true });
}
