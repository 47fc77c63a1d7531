import type { Packet, ProxyContext } from "../services/index.ts";
import type { Clock, CommandRunner, Logger } from "../system/index.ts";
import type { Backend, ProxyMode } from "./backend.ts";
import type { Syncs } from "./figures.ts";
import { withLocalNodePorts } from "./local-node-ports.ts";
import type { LoggedPacket } from "./packet-log.ts";
import { openNetlink, type Netlink } from "./netlink.ts";
import { createUserspaceBackend, warnOfFileLimit, type Resting } from "./userspace/index.ts";

export interface ChooseOptions {
  readonly mode: ProxyMode | "auto";
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly commands: CommandRunner;
  /** Told of each step that brings rules into force. */
  readonly syncs?: Syncs;
  /** See `KernelOptions`. */
  readonly serviceOf?: (packet: Packet) => string | undefined;
  /** See `UserspaceOptions`. */
  readonly logged?: (packet: LoggedPacket) => void;
  readonly held?: (service: string) => void;
  /** Of the modes of one process. */
  readonly resting?: Resting;
}

/** This machine cannot run the mode that was asked for. */
export class ProxyModeError extends Error {
  readonly code = "MODE_IMPOSSIBLE";

  constructor(mode: ProxyMode, reason: string) {
    super(`proxy mode ${mode} is not possible here: ${reason}`);
    this.name = "ProxyModeError";
  }
}

/**
 * The backend for a mode. The kernel part is loaded only where it is wanted.
 * @throws {ProxyModeError} when `nftables` or `iptables` is asked for and impossible; `auto` falls back and gives the reason instead
 */
export async function chooseBackend(
  { mode, syncs, ...parts }: ChooseOptions,
  context: ProxyContext,
  log: Logger,
): Promise<{ backend: Backend; reason: string | undefined }> {
  const told = syncs ? { syncs } : {};
  let reason: string | undefined;
  if (mode === "iptables") {
    const { createIptablesBackend, openTableSizes, whyNoIptables } = await import("./iptables/index.ts");
    reason = await whyNoIptables(parts.commands, context.families);
    if (reason !== undefined) throw new ProxyModeError(mode, reason);
    // The older iptables has tables of its own, of which netlink tells nothing.
    const { stdout } = await parts.commands.run("iptables", ["-V"]);
    const netlink = stdout.includes("nf_tables") ? await look(log) : undefined;
    // Without them its rules are read each second.
    const sizes = netlink ? undefined : await openTableSizes().catch(() => undefined);
    const kernel = createIptablesBackend({ ...parts, ...told, netlink, sizes, context, log });
    return { backend: withLocalNodePorts(kernel, { ...parts, ...told, context, log }), reason };
  }
  if (mode !== "userspace") {
    const { createNftablesBackend, openNft, readBack, whyNoProgram } = await import("./nftables/index.ts");
    reason = await whyNoProgram(parts.commands, context.families);
    if (reason === undefined) {
      const nft = await openNft(parts.commands, log);
      const netlink = await look(log);
      const found = netlink && (await readBack(netlink, context.families));
      const kernel = createNftablesBackend({ ...parts, ...told, nft, netlink, found, context, log });
      return { backend: withLocalNodePorts(kernel, { ...parts, ...told, context, log }), reason };
    }
    if (mode === "nftables") throw new ProxyModeError(mode, reason);
    log.info({ reason }, "nftables cannot be used: Services are served in user space");
  }
  warnOfFileLimit(log);
  return { backend: createUserspaceBackend({ ...parts, ...told, context, log }), reason };
}

function look(log: Logger): Promise<Netlink | undefined> {
  return openNetlink().catch((error: unknown) => {
    log.info(
      { reason: String(error) },
      "the kernel is not looked at by netlink: single rows that others change stay so",
    );
    return undefined;
  });
}
