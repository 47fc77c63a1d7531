import { createSocket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { cidrContains, parseCidr, parseIp, type Cidr } from "../kube/index.ts";
import { CommandError, type Clock, type CommandRunner } from "../system/index.ts";

/** Asks the network whether an address is in use, before it is given to a Service. */
export interface AddressProbe {
  /** Words that follow the address: `answers as 02:00:00:00:00:01 on eth0`. Undefined: nobody answers, or nobody could be asked. */
  inUse(address: string): Promise<string | undefined>;
}

/** Asks nobody. */
export const noProbe: AddressProbe = { inUse: () => Promise.resolve(undefined) };

interface Neighbour {
  readonly dst?: string;
  readonly dev?: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

const answered = new Set(["REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT"]);
/** Milliseconds between two looks; four looks. */
const pause = 150;
const looks = 4;

/**
 * Lets the kernel ask by ARP or NDP: a datagram to the address makes it look for a neighbour, and its table tells who answered. Needs
 * no privilege. Only addresses of a network that this machine is on can be asked for; of others nothing is known.
 */
export function createNeighbourProbe(commands: CommandRunner, clock: Clock): AddressProbe {
  return {
    async inUse(address) {
      const ip = parseIp(address);
      if (!ip) return undefined;
      const own = ownNetworks();
      const local = own.find((one) => one.address === address);
      if (local) return `is an address of this machine, on ${local.device}`;
      if (!own.some(({ network, device }) => device !== "lo" && cidrContains(network, ip))) return undefined;
      await nudge(address, ip.family === "IPv4" ? "udp4" : "udp6");
      for (let look = 0; look < looks; look++) {
        await clock.sleep(pause);
        const found = await neighbour(commands, address);
        if (found?.state?.some((state) => answered.has(state)) && found.lladdr) {
          return `is in use by another machine: it answers as ${found.lladdr} on ${found.dev ?? "the network"}`;
        }
        if (found?.state?.includes("FAILED")) return undefined;
      }
      return undefined;
    },
  };
}

function ownNetworks(): { device: string; address: string; network: Cidr }[] {
  return Object.entries(networkInterfaces()).flatMap(([device, list]) =>
    (list ?? []).flatMap(({ address, cidr }) => {
      const network = cidr === null ? undefined : parseCidr(cidr);
      return network ? [{ device, address, network }] : [];
    }),
  );
}

/** A datagram to the discard port: it need not arrive, the kernel only has to look for who would take it. */
function nudge(address: string, type: "udp4" | "udp6"): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket(type);
    const end = () => {
      socket.close();
      resolve();
    };
    socket.on("error", end);
    socket.send(Buffer.alloc(1), 9, address, () => end());
  });
}

/** What the kernel knows about a neighbour. */
export async function neighbour(commands: CommandRunner, address: string): Promise<Neighbour | undefined> {
  try {
    const { code, stdout } = await commands.run("ip", ["-j", "neighbour", "show", "to", address]);
    return code === 0 && stdout.trim() ? (JSON.parse(stdout) as Neighbour[])[0] : undefined;
  } catch (error) {
    // Where there is no such program nobody can be asked.
    if (error instanceof CommandError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
