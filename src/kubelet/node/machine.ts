import { readFileSync, statfsSync } from "node:fs";
import { arch, availableParallelism, freemem, release, totalmem, type as osType } from "node:os";
import type { Machine } from "./node-status.ts";

const architectures: Record<string, string> = { x64: "amd64", ia32: "386" };

/** Looks at this machine; `dir` names the file system that holds the pods. */
export function readMachine(dir: string): Machine {
  const disk = statfsSync(dir);
  const available = /^MemAvailable:\s+(\d+)/m.exec(text("/proc/meminfo"))?.[1];
  return {
    cpus: availableParallelism(),
    memory: totalmem(),
    freeMemory: available === undefined ? freemem() : Number(available) * 1024,
    storage: disk.blocks * disk.bsize,
    freeStorage: disk.bavail * disk.bsize,
    os: osType().toLowerCase(),
    architecture: architectures[arch()] ?? arch(),
    kernel: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(text("/etc/os-release"))?.[1] ?? osType(),
    machineId: text("/etc/machine-id").trim(),
    bootId: text("/proc/sys/kernel/random/boot_id").trim(),
  };
}

function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
