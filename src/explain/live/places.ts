import { readdir, readlink, stat } from "node:fs/promises";
import type { CommandResult, CommandRunner } from "../../system/index.ts";

/** A network namespace of this machine by its path; undefined: this process's own. */
export type Place = string | undefined;

const folder = "/run/netns";

/**
 * The network namespaces of this machine but this process's own: those that `ip netns` knows, and those that some process is in. Several
 * clusters and container runtimes keep theirs out of sight of `ip netns`.
 */
async function otherPlaces(): Promise<string[]> {
  const idOf = async (path: string): Promise<string> => readlink(path).catch(() => "");
  const seen = new Set([await idOf("/proc/thread-self/ns/net")]);
  const places: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const path = `${folder}/${name}`;
    const inode = await stat(path).then(
      ({ ino }) => `net:[${ino}]`,
      () => "",
    );
    if (!seen.has(inode)) places.push(path);
    seen.add(inode);
  }
  for (const pid of await readdir("/proc").catch(() => [])) {
    if (!/^[0-9]+$/.test(pid)) continue;
    const path = `/proc/${pid}/ns/net`;
    const id = await idOf(path);
    if (id === "" || seen.has(id)) continue;
    seen.add(id);
    places.push(path);
  }
  return places;
}

/** An interface with an address, and the number of the one at its other end where it is one of a pair. */
interface Device {
  readonly ifindex?: number;
  readonly link_index?: number;
  readonly addr_info?: readonly { readonly local?: string }[];
}

/** The namespaces of a machine and the addresses in them. */
export interface Places {
  /** Namespaces that have an address; this process's own before others. */
  holdersOf(address: string): readonly Place[];
  /** Whether an interface in one with that address is paired with an interface of the other. */
  areJoined(place: Place, address: string, other: Place): boolean;
}

/** Looks at all namespaces. `namespaces`: only at these, by their names, beside this process's own. */
export async function findPlaces(
  commands: CommandRunner,
  namespaces?: () => Promise<readonly string[]>,
): Promise<Places> {
  const others = namespaces ? (await namespaces()).map((name) => `${folder}/${name}`) : await otherPlaces();
  const devices = new Map<Place, readonly Device[]>();
  for (const place of [undefined, ...others]) {
    const { code, stdout } = await run(commands, place, "ip", ["-j", "address", "show"]).catch(() => none);
    if (code === 0) devices.set(place, JSON.parse(stdout || "[]") as Device[]);
  }
  const has = ({ addr_info: all = [] }: Device, address: string) => all.some(({ local }) => local === address);
  return {
    holdersOf: (address) =>
      [...devices].flatMap(([place, list]) => (list.some((one) => has(one, address)) ? [place] : [])),
    areJoined: (place, address, other) =>
      (devices.get(place) ?? []).some(
        (near) =>
          has(near, address) &&
          (devices.get(other) ?? []).some(
            (far) => far.ifindex !== undefined && far.ifindex === near.link_index && far.link_index === near.ifindex,
          ),
      ),
  };
}

/**
 * Where a client is whose packets a node sees: several clusters on one machine may give the same address to pods of theirs. Undefined:
 * nowhere; a text: why it cannot be told.
 */
export async function placeOfClient(
  commands: CommandRunner,
  places: Places,
  address: string,
  node: Place,
): Promise<{ readonly place: Place } | string | undefined> {
  const candidates = places.holdersOf(address);
  if (candidates.length === 0) return undefined;
  if (candidates.includes(node)) return { place: node };
  if (candidates.length === 1) return { place: candidates[0] };
  const joined = candidates.filter((candidate) => places.areJoined(candidate, address, node));
  if (joined.length === 1) return { place: joined[0] };
  // Numbers of interfaces repeat where clusters are alike. The kernel knows by name whom the node's interfaces lead to.
  const near = await neighbours(commands, node);
  const named = candidates.filter((candidate) => near.has(candidate));
  if (named.length === 1) return { place: named[0] };
  return `${candidates.length} network namespaces of this machine have ${address}: which is meant cannot be told`;
}

async function neighbours(commands: CommandRunner, place: Place): Promise<ReadonlySet<Place>> {
  const { code, stdout } = await run(commands, place, "ip", ["-j", "netns", "list-id"]).catch(() => none);
  if (code !== 0) return new Set();
  const ids = JSON.parse(stdout || "[]") as { name?: string }[];
  return new Set(ids.flatMap(({ name }) => (name === undefined ? [] : `${folder}/${name}`)));
}

const none = { code: 1, stdout: "" };

/** Runs a program in a network namespace. */
export function run(
  commands: CommandRunner,
  place: Place,
  file: string,
  args: readonly string[],
  input = "",
  timeout = 30_000,
): Promise<CommandResult> {
  const [first, words] = place === undefined ? [file, args] : ["nsenter", [`--net=${place}`, "--", file, ...args]];
  return commands.run(first, words, { input, timeout });
}
