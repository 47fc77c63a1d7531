import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isAnswered, type CommandRunner } from "../../../system/index.ts";
import type { SpeakerProcess, SpeakerProgram, SpeakerState, SpeakerVersion } from "../speaker.ts";
import { readAdvertised, readBfdPeers, readNeighbors, type FrrSession } from "./answers.ts";
import { askFrr, askFrrJson, FrrError } from "./control.ts";
import { frrChanges, frrUnits, type FrrDaemon, type FrrUnit } from "./units.ts";

/** Where Debian and FRR's own packages have the daemons: in no PATH. */
const folder = "/usr/lib/frr";
const unitsFile = "units.json";
/** Its directory is root's alone; of root's rights it keeps those only that each daemon says it needs. This group it asks for. */
const identity = ["-u", "root", "-g", "frrvty"];

/**
 * FRR: bgpd has the sessions, bfdd watches the ways to the routers, zebra tells both of the node's network. A running one is told what is another
 * through the sockets that vtysh uses; a start reads the same as files.
 */
export function frrProgram(dir: string, runner: CommandRunner): SpeakerProgram {
  const socketOf = (daemon: FrrDaemon) => join(dir, `${daemon}.vty`);
  const zebra = join(dir, "zebra.api");

  const process = (
    daemon: FrrDaemon | "zebra",
    socket: string,
    more: readonly string[],
    moreOf: (version: SpeakerVersion) => readonly string[] = () => [],
  ): SpeakerProcess => {
    const config = join(dir, `current/${daemon}.conf`);
    const pidFile = join(dir, `${daemon}.pid`);
    // It has no port to be asked at (-P 0).
    const args = ["-f", config, "-i", pidFile, "-z", zebra, "--vty_socket", dir, "-P", "0", ...identity, ...more];
    args.push("-F", "traditional", "--log", "stdout", "--log-level", "informational");
    return {
      file: join(folder, daemon),
      args: ({ version }) => [...args, ...moreOf(version)],
      pidFile,
      config,
      isReady: () => isAnswered(socket),
    };
  };

  /** What FRR would read, but for routes. */
  let readable: ReadonlySet<string> = new Set();
  /** How many updates a session had sent when its prefixes were asked for. */
  const told = new Map<string, number>();

  async function change(before: readonly FrrUnit[], after: readonly FrrUnit[]): Promise<void> {
    for (const { daemon, said } of frrChanges(before, after)) {
      const commands = ["enable", "configure terminal", ...said.map(({ text }) => text)];
      const [, , ...answers] = await askFrr(socketOf(daemon), commands);
      // What is to be taken away need not be there.
      const refused = said.findIndex(({ mayFail }, i) => !mayFail && answers[i]?.isGood !== true);
      if (refused >= 0)
        throw new FrrError(`FRR does not take ${said[refused]?.key ?? ""}: ${answers[refused]?.text ?? ""}`);
    }
  }

  return {
    name: "frr",
    product: "FRR",
    package: "frr",
    version: { command: [join(folder, "bgpd"), "--version"], least: 8 },
    mainFile: unitsFile,
    processes: [
      // What others have put into the node's routes is not its to sweep, now or at its end.
      process("zebra", zebra, ["-r", "-K", "2000000000"]),
      // A second socket, which FRR 10.2 and newer do not have.
      {
        ...process("bfdd", socketOf("bfdd"), [], ([major, minor]) =>
          major > 10 || (major === 10 && minor >= 2) ? [] : ["--bfdctl", join(dir, "bfdd.ctl")],
        ),
        isUrgent: true,
      },
      // It connects, and is not connected to: port 179 of the node may be another's. It tells the kernel nothing.
      process("bgpd", socketOf("bgpd"), ["-p", "0", "-n"]),
    ],
    files(desired) {
      const units = frrUnits(desired);
      const fileOf = (daemon: FrrDaemon) =>
        units.filter((one) => one.daemon === daemon).flatMap(({ set }) => [...set, ""]);
      return new Map([
        ["zebra.conf", "\n"],
        ["bfdd.conf", fileOf("bfdd").join("\n")],
        ["bgpd.conf", fileOf("bgpd").join("\n")],
        [unitsFile, JSON.stringify(units)],
      ]);
    },
    async refusal(path) {
      const units = JSON.parse(await readFile(join(path, unitsFile), "utf8")) as FrrUnit[];
      // Routes are numbers and names of ours, and to start both daemons for each would take longer than to tell it.
      const said = units.filter(({ of }) => of === undefined).map(({ set }) => set.join("\n"));
      if (said.every((one) => readable.has(one))) return undefined;
      for (const daemon of ["bfdd", "bgpd"]) {
        const args = ["-C", ...identity, "-f", join(path, `${daemon}.conf`), "--log", "stdout"];
        const { code, stderr, stdout } = await runner.run(join(folder, daemon), args);
        // Its exit code says nothing of commands that it does not know.
        const wrong = /on config line .*/.exec(stdout + stderr)?.[0];
        if (wrong !== undefined || code !== 0) return `${daemon}: ${wrong ?? (stderr || stdout).trim()}`;
      }
      readable = new Set(said);
      return undefined;
    },
    async reload(before, after) {
      const old = unitsOf(before);
      if (!old) return false;
      await change(old, unitsOf(after) ?? []);
      return true;
    },
    // With graceful restart, bgpd ends without a word.
    farewell: (files) => change(unitsOf(files) ?? [], []),
    async look(before): Promise<SpeakerState> {
      const bgpd = socketOf("bgpd");
      const sessions = readNeighbors(await askFrrJson(bgpd, "show bgp vrf all neighbors json"));
      const bfd = readBfdPeers(await askFrrJson(socketOf("bfdd"), "show bfd peers json").catch(() => []));
      const prefixes = new Map<string, readonly string[]>();
      for (const [key, session] of sessions) {
        if (session.spoken.state !== "Established" || session.spoken.exported === 0) continue;
        const known = told.get(key) === session.updates ? before?.prefixes.get(key) : undefined;
        prefixes.set(key, known ?? readAdvertised(await askFrrJson(bgpd, advertised(key, session))));
        told.set(key, session.updates);
      }
      return { sessions: new Map([...sessions].map(([key, { spoken }]) => [key, spoken])), bfd, prefixes };
    },
  };
}

const advertised = (view: string, { address, family }: FrrSession) =>
  `show bgp view ${view} ${family} unicast neighbors ${address} advertised-routes json`;

function unitsOf(files: ReadonlyMap<string, string> | undefined): readonly FrrUnit[] | undefined {
  const text = files?.get(unitsFile);
  return text === undefined ? undefined : (JSON.parse(text) as FrrUnit[]);
}
