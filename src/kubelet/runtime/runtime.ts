import type { Duplex, Readable, Writable } from "node:stream";
import type { HostPort } from "../network/network.ts";
import type { TerminationLog } from "./termination-message.ts";

/**
 * What the kubelet asks of whatever runs containers. The shape is that of the Container Runtime Interface
 * (k8s.io/cri-api, runtime/v1), so that a CRI runtime is one more implementation: sandboxes hold a pod's network,
 * containers live in a sandbox and go through created, running, exited.
 *
 * Times are milliseconds since the epoch. Methods throw `RuntimeError`.
 */
export interface Runtime {
  /** `name://version`, as Node.status.nodeInfo.containerRuntimeVersion has it. */
  readonly version: string;
  /** Makes the image usable on this node. Throws `IMAGE_UNKNOWN`. */
  ensureImage(image: string): Promise<Image>;
  createSandbox(config: SandboxConfig): Promise<Sandbox>;
  /** Ends what still runs in it and gives its network back; it is not ready any more. Unknown ids are fine. */
  stopSandbox(id: string): Promise<void>;
  /** Stops it and forgets it and its containers. Unknown ids are fine. */
  removeSandbox(id: string): Promise<void>;
  /** Prepares a container; it does not run yet. */
  createContainer(config: ContainerConfig): Promise<string>;
  /** Throws `START_FAILED`; the container is then exited with code 128. */
  startContainer(id: string): Promise<void>;
  /** Sends the stop signal, waits at most `graceMs`, then kills. Settles when the container has exited. */
  stopContainer(id: string, graceMs: number): Promise<void>;
  /** Forgets an exited container and deletes its logs. */
  removeContainer(id: string): Promise<void>;
  /** What exists now, of one pod or of all. */
  list(podUid?: string): Promise<RuntimeState>;
  /** Runs a command inside a running container. Throws `TIMEOUT` when it takes longer than `timeoutMs`. */
  exec(id: string, command: readonly string[], options: { readonly timeoutMs: number }): Promise<ExecResult>;
  /** Runs a command inside a running container with the streams of a client. Closing them ends the command. Throws `NOT_FOUND`. */
  execStreams(id: string, command: readonly string[], options: ExecStreamsOptions): Promise<ContainerStreams>;
  /** Joins the streams of a running container. Throws `NOT_FOUND`. */
  attach(id: string, options: { readonly stdin: boolean }): Promise<ContainerStreams>;
  /** Connects to a port as processes of the sandbox reach it on `localhost`. Throws `NOT_FOUND` or `NETWORK`. */
  portForward(sandboxId: string, port: number): Promise<Duplex>;
  /** What the running containers have used, by their ids. */
  stats(): Promise<readonly ContainerUsage[]>;
  /** Called with a pod's uid after something of it changed by itself; with none when everything may have. */
  onChange(listener: (podUid: string | undefined) => void): void;
}

export interface ContainerUsage {
  readonly id: string;
  /** Nanoseconds of processor time since it began. */
  readonly cpu: number;
  /** Bytes of memory in use. */
  readonly memory: number;
  /** The part of it that stands for no file. */
  readonly anonymous: number;
  readonly processes: number;
  readonly threads: number;
  /** Interfaces of its sandbox, when that has a network of its own. */
  readonly interfaces?: readonly InterfaceUsage[];
}

/** What has gone through a network interface. */
export interface InterfaceUsage {
  readonly name: string;
  readonly received: TrafficUsage;
  readonly sent: TrafficUsage;
}

export interface TrafficUsage {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
}

export interface ExecStreamsOptions {
  /** A terminal: all output is `stdout`. */
  readonly tty: boolean;
  readonly stdin: boolean;
}

/** The streams of a command or a container. Both outputs must be read, or resumed, to their end. */
export interface ContainerStreams {
  /** What is written is thrown away where no input was asked for. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when the command, or the attachment, has ended and its output has been passed on. Rejects with `RuntimeError`. */
  readonly ended: Promise<{ readonly exitCode: number }>;
  /** Nothing happens without a terminal. */
  resize(size: { readonly columns: number; readonly rows: number }): void;
  close(): void;
}

export interface Image {
  /** Names the content; goes to status.containerStatuses[].imageID. */
  readonly id: string;
  /** The numeric user the image runs as when the pod names none; absent: whoever runs the kubelet. */
  readonly user?: number;
}

export interface SandboxConfig {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  /** 0 for a pod's first sandbox. */
  readonly attempt: number;
  readonly hostname: string;
  /** By which the pod finds itself in /etc/hosts: the longest first. */
  readonly names: readonly string[];
  readonly hostNetwork: boolean;
  /** None with hostNetwork: there a container's ports are the node's own. */
  readonly hostPorts: readonly HostPort[];
  readonly dns: DnsConfig;
  /** Lines for /etc/hosts beside the usual ones. */
  readonly hostAliases: readonly { readonly ip: string; readonly hostnames: readonly string[] }[];
}

/** Content of /etc/resolv.conf. */
export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface Sandbox {
  readonly id: string;
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly attempt: number;
  readonly createdAt: number;
  /** False when its network is gone, as after a reboot: a new one is needed. */
  readonly ready: boolean;
  /** The pod's addresses; empty with hostNetwork. */
  readonly addresses: readonly string[];
}

export interface Mount {
  /** Name of the volume. */
  readonly name: string;
  readonly source: string;
  /** Absolute path inside the container. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerConfig {
  readonly sandboxId: string;
  readonly podUid: string;
  readonly name: string;
  /** How often this container was started before in this pod. */
  readonly attempt: number;
  readonly image: string;
  /** Replace the image's own, as in the Pod API; variables are expanded already. */
  readonly command: readonly string[] | undefined;
  readonly args: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string | undefined;
  readonly mounts: readonly Mount[];
  /** Where the pod's volumes are on the node, each by its name: for a runtime that cannot mount them. */
  readonly volumesDirectory: string;
  readonly user: number | undefined;
  readonly group: number | undefined;
  readonly supplementalGroups: readonly number[];
  /** No program that it starts may do more than it does itself (set-user-ID, file capabilities). */
  readonly noNewPrivileges?: boolean;
  /** Names that capabilities(7) has, in lower case and without `CAP_`. */
  readonly droppedCapabilities?: readonly string[];
  /** What is written to files of /proc/sys in the sandbox's network. */
  readonly sysctls?: readonly { readonly path: string; readonly value: string }[];
  /** Absolute path of the log; parents exist. Rotated files are beside it: `PATH.1` is the newest. */
  readonly logPath: string;
  /** Absent: the container cannot say why it ended. */
  readonly terminationLog?: TerminationLog;
  /** For example SIGTERM. */
  readonly stopSignal: string;
  readonly tty?: boolean;
  readonly stdin?: boolean;
  readonly stdinOnce?: boolean;
}

export interface ContainerRecord {
  readonly id: string;
  readonly sandboxId: string;
  readonly podUid: string;
  readonly name: string;
  readonly attempt: number;
  readonly image: string;
  readonly imageId: string;
  readonly logPath: string;
  readonly createdAt: number;
  readonly state: "created" | "running" | "exited";
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** 128 + signal number when a signal ended it. */
  readonly exitCode?: number;
  readonly signal?: number;
  /** Why it ended where the exit code does not say: `StartError`, `ContainerStatusUnknown`. */
  readonly reason?: string;
  readonly message?: string;
}

export interface RuntimeState {
  readonly sandboxes: readonly Sandbox[];
  readonly containers: readonly ContainerRecord[];
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a runtime could not do, and why. */
export class RuntimeError extends Error {
  readonly code:
    | "IMAGE_UNKNOWN"
    | "CREATE_FAILED"
    | "START_FAILED"
    | "NOT_FOUND"
    | "NETWORK"
    | "TIMEOUT"
    | "UNAVAILABLE";

  constructor(code: RuntimeError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RuntimeError";
    this.code = code;
  }
}
