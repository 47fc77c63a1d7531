import { statfsSync, type StatsFs } from "node:fs";
import type { Metrics } from "../../system/index.ts";

/** A claim that a pod here has mounted, and where. */
export interface MountedClaim {
  readonly namespace: string;
  readonly claim: string;
  readonly path: string;
}

/** How full the file systems are that claims are on: `kubelet_volume_stats_*`. A path that cannot be asked is left out. */
export function addVolumeFigures(metrics: Metrics, mounted: readonly MountedClaim[]): void {
  const gauge = (what: string, help: string) =>
    metrics.gauge(`kubelet_volume_stats_${what}`, help, ["namespace", "persistentvolumeclaim"]);
  const capacity = gauge("capacity_bytes", "Bytes of the file system that the volume is on.");
  const available = gauge("available_bytes", "Bytes of them that are free.");
  const used = gauge("used_bytes", "Bytes of them that are used.");
  const inodes = gauge("inodes", "Inodes of the file system that the volume is on.");
  const free = gauge("inodes_free", "Inodes of them that are free.");
  const taken = gauge("inodes_used", "Inodes of them that are used.");
  for (const { namespace, claim, path } of mounted) {
    const found = statfs(path);
    if (!found) continue;
    capacity(namespace, claim).set(found.blocks * found.bsize);
    available(namespace, claim).set(found.bavail * found.bsize);
    used(namespace, claim).set((found.blocks - found.bfree) * found.bsize);
    inodes(namespace, claim).set(found.files);
    free(namespace, claim).set(found.ffree);
    taken(namespace, claim).set(found.files - found.ffree);
  }
}

function statfs(path: string): StatsFs | undefined {
  try {
    return statfsSync(path);
  } catch {
    return undefined;
  }
}
