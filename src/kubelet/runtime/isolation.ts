import type { ContainerConfig, SandboxConfig } from "./runtime.ts";
import type { SandboxRecord } from "./supervisor/protocol.ts";

/** What separates a pod's processes from the node's: namespaces, files of their own, another user. */
export interface Isolation {
  /** Whether volumes appear at their mount paths. Where not, FAIRLEAD_VOLUMES tells where they are. */
  readonly mounts: boolean;
  openSandbox(sandbox: SandboxRecord, config: SandboxConfig): void;
  closeSandbox(id: string): void;
  /** The argument array that comes before the command that container `id` is started with. Throws `RuntimeError`. */
  starting(id: string, sandbox: SandboxRecord, config: ContainerConfig): readonly string[];
  /** Settles when the process of container `id` has become its command, or has ended. */
  started(id: string, pid: number): Promise<void>;
  /** The part of it that a further command in the container needs as well: user and directory. */
  within(config: ContainerConfig): readonly string[];
  /** The argument array that leads into the namespaces of a running process. */
  entering(pid: number): readonly string[];
}

/** Without root: a process like any other. */
export const noIsolation: Isolation = {
  mounts: false,
  openSandbox() {},
  closeSandbox() {},
  starting: () => [],
  started: async () => {},
  within: () => [],
  entering: () => [],
};
