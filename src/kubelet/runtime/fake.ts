import { PassThrough, type Readable } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import type { Clock } from "../../system/index.ts";
import {
  type ContainerConfig,
  type ContainerRecord,
  type ContainerStreams,
  type ExecResult,
  type Runtime,
  RuntimeError,
  type Sandbox,
  type SandboxConfig,
} from "./runtime.ts";

/** A runtime in memory, for tests: nothing runs, but everything goes through the states it should. */
export interface FakeRuntime extends Runtime {
  /** What `createContainer` was given, by container id. */
  readonly configs: ReadonlyMap<string, ContainerConfig>;
  /** What `createSandbox` was given, by sandbox id. */
  readonly sandboxConfigs: ReadonlyMap<string, SandboxConfig>;
  /** Every call that changes something, oldest first, such as `start web`. */
  readonly calls: readonly string[];
  /** Images that exist; empty for all. */
  readonly images: Set<string>;
  /** Containers that go on after their stop signal until they are killed, by name. */
  readonly stubborn: Set<string>;
  /** Answers `exec` and `execStreams`; `cat` gives its input back as well. By default every command succeeds. */
  execResult: (id: string, command: readonly string[]) => ExecResult | Promise<ExecResult>;
  /** Called before each call; what it throws is the call's answer. */
  intercept: ((call: string) => void) | undefined;
  /** Lets a running container end by itself. */
  exit(id: string, exitCode: number): void;
  /** The newest container of a pod by name. */
  container(podUid: string, name: string): ContainerRecord | undefined;
  /** Takes a sandbox's network away, as a reboot does. */
  breakSandbox(podUid: string): void;
}

export function createFakeRuntime(clock: Clock): FakeRuntime {
  const sandboxes = new Map<string, Sandbox>();
  const containers = new Map<string, ContainerRecord>();
  const configs = new Map<string, ContainerConfig>();
  const sandboxConfigs = new Map<string, SandboxConfig>();
  const listeners = new Set<(podUid: string | undefined) => void>();
  const calls: string[] = [];
  let serial = 0;

  const call = (text: string): void => {
    calls.push(text);
    fake.intercept?.(text);
  };
  const found = (id: string): ContainerRecord => {
    const container = containers.get(id);
    if (!container) throw new RuntimeError("NOT_FOUND", `no container ${id}`);
    return container;
  };
  const end = (id: string, exitCode: number, signal?: number): void => {
    const container = found(id);
    if (container.state !== "running") return;
    const by = signal === undefined ? {} : { signal };
    containers.set(id, { ...container, state: "exited", finishedAt: clock.now(), exitCode, ...by });
    for (const listener of listeners) listener(container.podUid);
  };

  const fake: FakeRuntime = {
    version: "fake://1.0.0",
    configs,
    sandboxConfigs,
    calls,
    images: new Set(),
    stubborn: new Set(),
    intercept: undefined,
    execResult: () => ({ exitCode: 0, stdout: "", stderr: "" }),
    exit: end,
    onChange: (listener) => void listeners.add(listener),
    container: (podUid, name) =>
      [...containers.values()]
        .filter((container) => container.podUid === podUid && container.name === name)
        .sort((a, b) => b.attempt - a.attempt)[0],
    breakSandbox(podUid) {
      for (const sandbox of sandboxes.values()) {
        if (sandbox.podUid === podUid) sandboxes.set(sandbox.id, { ...sandbox, ready: false });
      }
      for (const { id, podUid: uid } of containers.values()) if (uid === podUid) end(id, 137);
    },
    async ensureImage(image) {
      if (fake.images.size > 0 && !fake.images.has(image)) {
        throw new RuntimeError("IMAGE_UNKNOWN", `image "${image}" is not there`);
      }
      return { id: `${image}@sha256:fake` };
    },
    async createSandbox(config) {
      call(`sandbox ${config.name}`);
      const id = `s${++serial}`;
      const { podUid, namespace, name, attempt } = config;
      const addresses = config.hostNetwork ? [] : [`10.42.0.${serial + 1}`];
      const sandbox = { id, podUid, namespace, name, attempt, createdAt: clock.now(), ready: true, addresses };
      sandboxes.set(id, sandbox);
      sandboxConfigs.set(id, config);
      return sandbox;
    },
    async stopSandbox(id) {
      call(`stop sandbox ${sandboxes.get(id)?.name}`);
      for (const container of containers.values()) if (container.sandboxId === id) end(container.id, 137, 9);
      const sandbox = sandboxes.get(id);
      if (sandbox) sandboxes.set(id, { ...sandbox, ready: false });
    },
    async removeSandbox(id) {
      call(`remove sandbox ${sandboxes.get(id)?.name}`);
      for (const container of containers.values()) if (container.sandboxId === id) containers.delete(container.id);
      sandboxes.delete(id);
    },
    async createContainer(config) {
      call(`create ${config.name}`);
      const id = `c${++serial}`;
      const { sandboxId, podUid, name, attempt, image, logPath } = config;
      const common = { id, sandboxId, podUid, name, attempt, image, logPath };
      containers.set(id, { ...common, imageId: `${image}@sha256:fake`, createdAt: clock.now(), state: "created" });
      configs.set(id, config);
      return id;
    },
    async startContainer(id) {
      const container = found(id);
      call(`start ${container.name}`);
      containers.set(id, { ...container, state: "running", startedAt: clock.now() });
    },
    async stopContainer(id, graceMs) {
      const container = found(id);
      call(`stop ${container.name} ${graceMs}`);
      if (!fake.stubborn.has(container.name)) return end(id, 143, 15);
      await clock.sleep(graceMs);
      return end(id, 137, 9);
    },
    async removeContainer(id) {
      call(`remove ${containers.get(id)?.name}`);
      containers.delete(id);
    },
    async list(podUid) {
      const wanted = (item: { podUid: string }): boolean => podUid === undefined || item.podUid === podUid;
      return {
        sandboxes: [...sandboxes.values()].filter(wanted),
        containers: [...containers.values()].filter(wanted),
      };
    },
    exec: async (id, command) => fake.execResult(id, command),
    async execStreams(id, command) {
      call(`exec ${found(id).name} ${command.join(" ")}`);
      return fakeStreams(async (stdin) => {
        const { stdout, stderr, exitCode } = await fake.execResult(id, command);
        return { stdout: stdout + (command[0] === "cat" ? await textOf(stdin) : ""), stderr, exitCode };
      });
    },
    async attach(id) {
      call(`attach ${found(id).name}`);
      return fakeStreams(async (stdin) => ({ stdout: await textOf(stdin), stderr: "", exitCode: 0 }));
    },
    stats: async () =>
      [...containers.values()]
        .filter(({ state }) => state === "running")
        .map(({ id, startedAt = 0 }) => ({
          id,
          cpu: (clock.now() - startedAt) * 5e5,
          memory: 8 << 20,
          anonymous: 6 << 20,
          processes: 1,
          threads: 1,
        })),
    async portForward(sandboxId, port) {
      call(`forward ${sandboxes.get(sandboxId)?.name} ${port}`);
      if (port === 1) throw new RuntimeError("NETWORK", "connection refused");
      return new PassThrough();
    },
  };
  return fake;
}

/** Streams of a command that reads all its input before it answers. */
function fakeStreams(run: (stdin: Readable) => Promise<ExecResult>): ContainerStreams {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  return {
    stdin,
    stdout,
    stderr,
    ended: run(stdin).then((result) => {
      stdout.end(result.stdout);
      stderr.end(result.stderr);
      return { exitCode: result.exitCode };
    }),
    resize: ({ columns, rows }) => void stdout.write(`[${columns}x${rows}]`),
    close: () => void [stdin, stdout, stderr].map((stream) => stream.destroy()),
  };
}
