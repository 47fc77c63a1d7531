import { openSync } from "node:fs";
import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { DataPlaneName, Tracing } from "../dataplane/index.ts";
import { CliError } from "./errors.ts";

/** A value of `--dataplane`, or of another option. Throws `CliError` for what is none. */
export function dataPlaneName(value: unknown, option = "--dataplane"): DataPlaneName {
  if (value === "embedded" || value === "haproxy" || value === "nginx") return value;
  throw new CliError("USAGE", `${option} ${JSON.stringify(value)} is no data plane`, "use embedded, haproxy or nginx");
}

/** The addresses of `--address`, or of another option, with commas between. Throws `CliError` for what is none. */
export function listenAddresses(value: string, option = "--address"): readonly string[] {
  const addresses = value.split(",").map((one) => one.trim());
  if (addresses.every((one) => isIP(one)) && new Set(addresses).size === addresses.length) return addresses;
  throw new CliError(
    "USAGE",
    `${option} ${JSON.stringify(value)} is not usable`,
    "give an IP address, or several with commas between: 0.0.0.0,:: is every address of both families",
  );
}

/** Every address of the families that this machine has. */
export const everyAddress = (): readonly string[] => (hasIpv6() ? ["0.0.0.0", "::"] : ["0.0.0.0"]);

/** Where a port for probes is open to all: `[::]:PORT` is open to IPv4 too. */
export const anywhere = (port: number): string => `${hasIpv6() ? "[::]" : "0.0.0.0"}:${port}`;

const hasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some((list) => list?.some(({ family }) => family === "IPv6"));

/** What a data plane tells of its requests. */
export interface Observation {
  readonly accessLog?: number;
  readonly routeFigures: boolean;
  readonly tracing?: Tracing;
}

/** Opens the file of `--access-log`, for as long as this process lives; "" is none. Throws `CliError` when that is not possible. */
export function openAccessLog(flags: { readonly accessLog: string; readonly routeFigures: boolean }): Observation {
  const { accessLog: path, routeFigures } = flags;
  if (path === "") return { routeFigures };
  try {
    return { routeFigures, accessLog: openSync(path, "a", 0o640) };
  } catch (error) {
    throw new CliError("BAD_FILE", `--access-log: ${(error as Error).message}`, "give a file that can be written to");
  }
}

/** Throws `CliError` when this machine can not run a data plane. */
export async function requireDataPlane(name: DataPlaneName): Promise<void> {
  if (name === "embedded") return;
  const { missingFor } = await import("../dataplane/index.ts");
  const missing = await missingFor(name);
  if (missing !== undefined) throw new CliError("FAILED", `--dataplane ${name}: ${missing}`);
}

/**
 * Folder for the files of a data plane that is a program of its own. For root it is under /run: the program's unprivileged
 * workers must get to it, and a cluster's directory is closed to them.
 */
export function dataPlaneDirectory(clusterDirectory: string, part: string): string {
  if (process.getuid?.() !== 0) return join(clusterDirectory, part);
  const cluster = createHash("sha256").update(clusterDirectory).digest("hex").slice(0, 12);
  return join("/run/fairlead-dataplane", cluster, part);
}
