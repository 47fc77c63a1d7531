import type { ContainerConfig, SandboxConfig } from "./runtime.ts";
import type { SandboxRecord } from "./supervisor/protocol.ts";

/** What separates a pod's processes from the node's: namespaces, files of their own, another user. */
export interface Isolation {
  /** Whether volumes appear at their mount paths. Where not, FAIRLEAD_VOLUMES tells where they are. */
  readonly mounts: boolean;
  openSandbox(sandbox: SandboxRecord, config: SandboxConfig): Promise<void>;
  closeSandbox(id: string): Promise<void>;
  /** Prepares a container. Answers the argument array that comes before any command to run it in the container. */
  openContainer(id: string, sandbox: SandboxRecord, config: ContainerConfig): Promise<readonly string[]>;
  closeContainer(id: string): Promise<void>;
}

/** Without root: a process like any other. */
export const noIsolation: Isolation = {
  mounts: false,
  openSandbox: async () => {},
  closeSandbox: async () => {},
  openContainer: async () => [],
  closeContainer: async () => {},
};
