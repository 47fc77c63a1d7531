import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Client, Informers } from "../../client/index.ts";
import { resources, type PolicyRule } from "../../kube/index.ts";
import type { Clock, CommandRunner, Component, Logger, Metrics } from "../../system/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { stopPassingVips } from "../lan-vips.ts";
import { supervise } from "../supervise.ts";
import { nodeName } from "./node.ts";

/** Who holds addresses: a user of its own, on every node. */
export const vipUser = "system:fairlead:vip";

const rule = (apiGroups: string[], names: string[], verbs: string[]): PolicyRule => ({
  apiGroups,
  resources: names,
  verbs,
});
const read = ["get", "list", "watch"];

/** What `fairlead vip` may. */
const rules: readonly PolicyRule[] = [
  rule(["fairlead.dev"], ["addresspools", "addressclaims"], read),
  rule(["fairlead.dev"], ["addressclaims/status"], ["update", "patch"]),
  rule([""], ["nodes", "services"], read),
  rule(["discovery.k8s.io"], ["endpointslices"], read),
  rule(["coordination.k8s.io"], ["leases"], [...read, "create", "patch"]),
  rule(["", "events.k8s.io"], ["events"], ["create", "patch"]),
];

/** Lets the nodes hold addresses, as far as the API is concerned. */
export async function grantVips(client: Client): Promise<void> {
  const metadata = { name: vipUser };
  await client.apply(resources.ClusterRole, { metadata, rules: [...rules] });
  await client.apply(resources.ClusterRoleBinding, {
    metadata,
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: vipUser },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: vipUser }],
  });
}

export interface NodeVipOptions {
  readonly number: number;
  readonly directory: ClusterDirectory;
  /** As `vipUser`. */
  readonly client: Client;
  readonly informers: Informers;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly commands: CommandRunner;
}

/** Holds addresses on a node. keepalived outlives this process, as pods do: `endVips` ends it. */
export function startNodeVip(options: NodeVipOptions): Component {
  const { number, directory, signal: _signal, ...rest } = options;
  const name = nodeName(number);
  return supervise(
    `vip ${name}`,
    async (signal) => {
      const { startVipAgent } = await import("../../loadbalancer/index.ts");
      return startVipAgent({
        ...rest,
        nodeName: name,
        dir: join(directory.vips, name),
        // Pools of flags are no objects that could say it.
        announce: () => ({ protocol: "VRRP" }),
        release: false,
        signal,
      });
    },
    options,
  );
}

/** Ends the keepalived of every node that ever ran in the cluster; their addresses go. */
export async function endVips(directory: ClusterDirectory, commands: CommandRunner): Promise<void> {
  const names = await readdir(directory.vips).catch(() => []);
  if (names.length === 0) return;
  const { stopVipDaemon } = await import("../../loadbalancer/index.ts");
  await Promise.all(names.map((name) => stopVipDaemon(join(directory.vips, name))));
  await stopPassingVips(commands);
  await rm(directory.vips, { recursive: true, force: true });
}
