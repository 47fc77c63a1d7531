import { networkInterfaces } from "node:os";
import { CommandError, type CommandRunner, createTurns, runOrThrow } from "../../system/index.ts";
import { hostPortProgram, type HostPortRow, hostPortRows, placeOf, rowCommands } from "./host-port-rows.ts";
import { bridgeName } from "./names.ts";
import { type HostPort, NetworkError } from "./network.ts";
import { openRecord } from "./record.ts";

/** Ports of the node that lead to pods (`ports[].hostPort`). Nothing is in the kernel before the first pod that has one. */
export interface HostPorts {
  /** Puts what is known of pods into the kernel, when it is not there. */
  setUp(): Promise<void>;
  /** Opens a sandbox's ports. Throws `NetworkError` when another one has one of them, or `CommandError`. */
  open(id: string, addresses: readonly string[], ports: readonly HostPort[]): Promise<void>;
  /** Closes a sandbox's ports; unknown ones are fine. */
  close(id: string): Promise<void>;
  isIntact(): Promise<boolean>;
  tearDown(): Promise<void>;
}

const table = "fairlead_host_ports";
const families = ["ip", "ip6"] as const;

export interface HostPortsOptions {
  /** Keeps the ports of each sandbox, so that they outlive a restart of the kubelet and a flush of the kernel's rules. */
  readonly file: string;
  readonly commands: CommandRunner;
  /** Lets translated packets of the node's loopback pass by the bridge; asked for before the first rule. */
  readonly routeLoopback: () => void;
}

export function createHostPorts({ file, commands, routeLoopback }: HostPortsOptions): HostPorts {
  const record = openRecord<readonly HostPortRow[]>(file);
  const rowsOf = (): HostPortRow[] => Object.values(record.all()).flat();
  let present = false;
  // Pods come at the same time: what is written last has to know of all of them.
  const inTurn = createTurns();

  /** In place of whatever is there: once, and when something is not as it was. */
  const writeAll = async (): Promise<void> => {
    routeLoopback();
    await runOrThrow(commands, "nft", ["-f", "-"], { input: hostPortProgram(table, bridgeName, rowsOf()) });
    present = true;
  };

  const write = (changes: Readonly<Record<"add" | "delete", readonly HostPortRow[]>>): Promise<void> =>
    inTurn(async () => {
      if (!present) return writeAll();
      const { code } = await commands.run("nft", ["-f", "-"], { input: rowCommands(table, changes) });
      // Somebody changed the table.
      if (code !== 0) await writeAll();
    });

  /**
   * The kernel asks the maps only for the first packet of a flow: one of UDP that goes on would never see that its port leads elsewhere now.
   * Only flows to these ports of this node are touched. Without conntrack's program such a client waits until its flow times out.
   */
  const endFlows = async (rows: readonly HostPortRow[], filterOf: (row: HostPortRow) => string[][]): Promise<void> => {
    try {
      for (const row of rows) {
        if (row.protocol === "TCP") continue;
        const family = row.family === "ip" ? "ipv4" : "ipv6";
        const kind = ["-D", "-f", family, "-p", row.protocol.toLowerCase(), "--orig-port-dst", String(row.port)];
        // Exit code 1 says that there is none.
        for (const filter of filterOf(row)) await commands.run("conntrack", [...kind, ...filter]);
      }
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== "NOT_FOUND") throw error;
    }
  };

  return {
    async setUp() {
      present = false;
      if (rowsOf().length > 0) await inTurn(writeAll);
    },
    async open(id, addresses, ports) {
      if (ports.length === 0) return;
      const rows = hostPortRows(ports, addresses);
      const places = new Set(rows.map(placeOf));
      for (const [other, held] of Object.entries(record.all())) {
        const taken = other === id ? undefined : held.find((row) => places.has(placeOf(row)));
        if (taken)
          throw new NetworkError(
            "HOST_PORT_TAKEN",
            `host port ${taken.port}/${taken.protocol} leads to pod ${taken.pod}`,
          );
      }
      const before = record.all()[id] ?? [];
      record.put(id, rows);
      await write({ delete: before, add: rows });
      await endFlows(rows, ({ family, address }) =>
        (address === undefined ? ownAddresses(family) : [address]).map((one) => ["--orig-dst", one]),
      );
    },
    async close(id) {
      const rows = record.all()[id];
      if (!rows) return;
      record.delete(id);
      await write({ delete: rows, add: [] });
      await endFlows(rows, ({ pod }) => [["--reply-src", pod]]);
    },
    async isIntact() {
      if (!present) return true;
      const looks = families.map((family) => commands.run("nft", ["list", "chain", family, table, "prerouting"]));
      return (await Promise.all(looks)).every(({ code }) => code === 0);
    },
    async tearDown() {
      for (const family of families) await commands.run("nft", ["delete", "table", family, table]).catch(() => {});
      record.clear();
      present = false;
    },
  };
}

function ownAddresses(family: HostPortRow["family"]): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((one) => (one.family === "IPv6") === (family === "ip6"))
    .map(({ address }) => address);
}
