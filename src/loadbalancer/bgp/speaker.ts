import type { Component } from "../../system/index.ts";
import type { BgpNeighbor } from "./plan.ts";

/** Programs that can speak BGP for a node. */
export const speakerNames = ["bird", "frr"] as const;
export type SpeakerName = (typeof speakerNames)[number];

/** What a speaker is to do. */
export interface SpeakerDesired {
  /** Four numbers with dots (RFC 6286). */
  readonly routerId: string;
  readonly neighbors: readonly BgpNeighbor[];
  readonly passwordOf: (neighbor: BgpNeighbor) => string | undefined;
}

/** What a speaker says of one session. */
export interface SpokenSession {
  /** As RFC 4271, 8.2.2 names it. */
  readonly state: string;
  /** The last error, in the speaker's words. */
  readonly error?: string;
  /** Routes that the neighbour was told. */
  readonly exported: number;
}

/** What a speaker said when it was asked last. */
export interface SpeakerState {
  /** By `sessionKey`. */
  readonly sessions: ReadonlyMap<string, SpokenSession>;
  /** By address of the neighbour. */
  readonly bfd: ReadonlyMap<string, "Up" | "Down">;
  /** Prefixes that were told, in order, by `sessionKey`; of sessions that are up. */
  readonly prefixes: ReadonlyMap<string, readonly string[]>;
}

/** Nothing is said: the speaker does not run. */
export const silence: SpeakerState = { sessions: new Map(), bfd: new Map(), prefixes: new Map() };

/**
 * A program that speaks BGP for this node, and is kept running. It tells routers what it is given, takes no route from them, and changes nothing of
 * the node's own routes.
 */
export interface BgpSpeaker extends Component {
  /** As users call it. */
  readonly product: string;
  /** Throws BgpConfigError when this cannot be said to the program. */
  check(desired: SpeakerDesired): void;
  /**
   * Makes it so; undefined ends the program. Sessions whose own settings have not changed go on. `recover`: routers are asked to have kept the routes
   * of a program that has died (RFC 4724). Throws BgpConfigError.
   */
  apply(desired: SpeakerDesired | undefined, options?: { readonly recover?: boolean }): Promise<void>;
  /** Starts with the configuration that an earlier start has left, where there is one. Whether there was. */
  resume(): Promise<boolean>;
  state(): SpeakerState;
  /** Called when `state` has changed. */
  onChange(listener: () => void): void;
  /** Why it does not run; undefined while it does, or has nothing to do. */
  failure(): string | undefined;
}

/** The first two numbers of a version. */
export type SpeakerVersion = readonly [major: number, minor: number];

/** One process of a speaker. */
export interface SpeakerProcess {
  readonly file: string;
  readonly args: (options: { readonly recover: boolean; readonly version: SpeakerVersion }) => readonly string[];
  /** Where it writes its number. */
  readonly pidFile: string;
  /** The one of its arguments that no other process has. */
  readonly config: string;
  /** It has BFD sessions: a router takes its silence for the node's death within a few hundred milliseconds. */
  readonly isUrgent?: true;
  /** Whether those that need it may be started. Absent: at once. */
  readonly isReady?: () => Promise<boolean>;
}

/** What differs between programs. Its files are in the folder `current` of its directory, written before they are to be read. */
export interface SpeakerProgram {
  readonly name: SpeakerName;
  readonly product: string;
  /** The Debian package. */
  readonly package: string;
  /** What says its version: program and arguments; and the least major version. */
  readonly version: { readonly command: readonly [file: string, ...args: string[]]; readonly least: number };
  /** The file without which there is no configuration. */
  readonly mainFile: string;
  /** In the order in which they are started. The last one has the sessions. */
  readonly processes: readonly SpeakerProcess[];
  /** Its configuration, by name of the file. Pure. Throws BgpConfigError. */
  files(desired: SpeakerDesired): ReadonlyMap<string, string>;
  /** Why it would not read the files of a folder, in its words. Undefined: it would. */
  refusal(folder: string): Promise<string | undefined>;
  /**
   * Brings what runs from `before` (undefined: nobody knows what it has read) to `after`, which `current` has already. Whether it could; else the
   * processes are started again. Throws when it was refused.
   */
  reload(before: ReadonlyMap<string, string> | undefined, after: ReadonlyMap<string, string>): Promise<boolean>;
  /** Before its end: takes back what it has said, where its end alone would look like a restart to routers. `files`: what it has read. */
  farewell?(files: ReadonlyMap<string, string>): Promise<void>;
  /** Asks. `before` is the last answer, and undefined when prefixes may be others though their count is the same. */
  look(before: SpeakerState | undefined): Promise<SpeakerState>;
}
