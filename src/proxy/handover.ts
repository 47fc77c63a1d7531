import { isIPv6 } from "node:net";
import { runOrThrow, type Clock, type CommandRunner, type Logger } from "../system/index.ts";
import type { Backend, CarriedConnection, ProxyMode } from "./backend.ts";
import { keepTranslating, removeMode } from "./remove.ts";

/** What has to be done to the machine so that connections live on while one mode follows another. */
export interface Handover {
  /** Before the rules or listeners of `to` are made, while `from` serves. */
  prepare(from: Backend, to: ProxyMode): Promise<void>;
  /** Takes out what `mode` has in the kernel, while another one serves. */
  remove(mode: ProxyMode): Promise<void>;
}

export interface HandoverOptions {
  readonly commands: CommandRunner;
  /** False where this process may change nothing in the kernel: there is user space only, and nothing to hand over. */
  readonly kernel: boolean;
  /** Makes the addresses of Services this machine's own, or no longer: user space needs that to listen on them. */
  readonly ownAddresses: (own: boolean) => Promise<void>;
  /** The mode that serves now, and all connections that this process still carries, of modes before it too. */
  readonly mode: () => ProxyMode;
  readonly connections: () => readonly CarriedConnection[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds between looks at whether connections that user space carries have ended. */
const lookEvery = 1_000;

export function createHandover(options: HandoverOptions): Handover {
  const { commands, kernel, ownAddresses, signal, clock, log } = options;

  /** The addresses stay this machine's as long as user space carries a connection to one. */
  async function giveUpAddresses(): Promise<void> {
    while (options.connections().length > 0) await clock.sleep(lookEvery, signal);
    if (options.mode() !== "userspace") await ownAddresses(false);
  }

  return {
    async prepare(from, to) {
      if (to === "userspace") await ownAddresses(true);
      if (!kernel || (to !== "userspace" && from.mode !== "userspace")) return;
      await keepTranslating(commands);
      if (to === "userspace") return;
      // From now on the kernel follows connections. Those that it has not seen begin it would take for new ones, and translate.
      await adopt(commands, options.connections()).catch((error: unknown) =>
        log.warn({ error: String(error) }, "connections that user space carries may break"),
      );
    },
    async remove(mode) {
      if (!kernel) return;
      await removeMode(commands, mode);
      if (mode !== "userspace") return;
      void giveUpAddresses().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ error: String(error) }, "addresses of Services stay this machine's own");
      });
    },
  };
}

/** Seconds for which the kernel remembers an established connection that is silent: its own default. */
const remembered = 432_000;
/** Those that speak meanwhile the kernel finds by itself, and is asked again without them. */
const rounds = 10;

/** Makes the kernel know connections as established, and not translated. Throws `CommandError`. */
export async function adopt(commands: CommandRunner, connections: readonly CarriedConnection[]): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const listed = await Promise.all(
      ["ipv4", "ipv6"].map((family) => runOrThrow(commands, "conntrack", ["-L", "-f", family, "-p", "tcp"])),
    );
    const known = new Set(listed.flatMap((text) => [...flowsIn(text)]));
    const missing = connections.filter((connection) => !known.has(idOf(connection)));
    if (missing.length === 0) return;
    const input = missing.map((one) => `${insertion(one).join(" ")}\n`).join("");
    const { code } = await commands.run("conntrack", ["-R", "-"], { input });
    if (code === 0) return;
  }
  throw new Error(`the kernel did not take all of ${connections.length} connections`);
}

function insertion({ client, clientPort, address, port }: CarriedConnection): string[] {
  const flow = [
    "-s",
    plain(client),
    "-d",
    plain(address),
    "-p",
    "tcp",
    "--sport",
    `${clientPort}`,
    "--dport",
    `${port}`,
  ];
  return [
    "-I",
    "-f",
    isIPv6(plain(client)) ? "ipv6" : "ipv4",
    ...flow,
    "--state",
    "ESTABLISHED",
    "-t",
    `${remembered}`,
    "-u",
    "ASSURED,SEEN_REPLY",
  ];
}

const idOf = ({ client, clientPort, address, port }: CarriedConnection): string =>
  `${plain(client)} ${clientPort} ${plain(address)} ${port}`;

/** An IPv4 address that a socket for both families calls `::ffff:192.0.2.1`. */
const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, "");

function* flowsIn(listed: string): Generator<string> {
  for (const [, source, destination, sport, dport] of listed.matchAll(
    /^\S.*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/gm,
  ))
    yield `${source} ${sport} ${destination} ${dport}`;
}
