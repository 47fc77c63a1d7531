import type { ContainerConfig, SandboxConfig } from "./runtime.ts";
import type { HeldContainer, SandboxRecord } from "./supervisor/protocol.ts";

/** What separates a pod's processes from the node's, beside the network: files of its own, host name, user. */
export interface Isolation {
  /** Whether volumes appear at their mount paths. Where not, FAIRLEAD_VOLUMES tells where they are. */
  readonly mounts: boolean;
  openSandbox(sandbox: SandboxRecord, config: SandboxConfig): Promise<void>;
  closeSandbox(id: string): Promise<void>;
  /** Prepares a container. Answers the argument array that runs a command in it, before the command itself. */
  openContainer(id: string, sandbox: SandboxRecord, config: ContainerConfig): Promise<readonly string[]>;
  closeContainer(id: string): Promise<void>;
  /** The argument array that runs a further command in a running container. */
  enter(container: HeldContainer): readonly string[];
}

/** Without root: a process like any other. */
export const noIsolation: Isolation = {
  mounts: false,
  openSandbox: async () => {},
  closeSandbox: async () => {},
  openContainer: async () => [],
  closeContainer: async () => {},
  enter: () => [],
};
