import { runOrThrow, type CommandRunner, type Logger } from "../../system/index.ts";
import { type Library, openLibrary } from "./library.ts";
import type { Family } from "../../services/index.ts";
import { familyName, probeOf } from "./ruleset.ts";

/** The way to the kernel's nftables. A script is applied as a whole or not at all. */
export interface Nft {
  /** Throws `NftError` when the kernel or the parser refuses; nothing has changed then. */
  run(script: string): Promise<void>;
  /** Whether `run` would take it. The kernel judges it, and nothing changes. */
  check(script: string): Promise<boolean>;
  /** Milliseconds between looks at whether our rules are still there: short where a look costs little. */
  readonly lookEvery: number;
  close(): void;
}

/** nft refused a script. */
export class NftError extends Error {
  readonly code = "NFT_REFUSED";

  constructor(said: string) {
    super(`nft: ${said.trim().split("\n").slice(0, 4).join(" | ")}`);
    this.name = "NftError";
  }
}

/** Scripts up to this size go through the library; larger ones to a child, which gives its memory back when it ends. */
const smallScript = 64 << 10;
const childTimeout = 300_000;

/** `nft -f -` as a child process. */
export function childNft(commands: CommandRunner): Nft {
  return {
    async run(script) {
      const result = await commands.run("nft", ["-f", "-"], { input: script, timeout: childTimeout });
      if (result.code !== 0) throw new NftError(result.stderr || `exit code ${result.code}`);
    },
    async check(script) {
      const result = await commands.run("nft", ["-c", "-f", "-"], { input: script, timeout: childTimeout });
      return result.code === 0;
    },
    lookEvery: 10_000,
    close() {},
  };
}

/** Small scripts in process through libnftables where it can be loaded, everything else through the child. */
export async function openNft(commands: CommandRunner, log: Logger): Promise<Nft> {
  const child = childNft(commands);
  const library = await openLibrary().catch((error: unknown) => {
    log.info({ reason: String(error) }, "libnftables is not used, every change starts nft");
    return undefined;
  });
  return library ? withLibrary(library, child) : child;
}

/**
 * Small scripts through the library, large ones and those that it refuses through the child: when another program changes
 * rules meanwhile, the library may be left with half a view of the kernel ("Interrupted system call") and refuse what is
 * right. Nothing has changed then, and a new process looks with fresh eyes.
 */
export function withLibrary(library: Library, child: Nft): Nft {
  return {
    async run(script) {
      const isDone = script.length <= smallScript && library.run(script) === undefined;
      if (!isDone) await child.run(script);
    },
    check: (script) => child.check(script),
    lookEvery: 1_000,
    close: () => library.close(),
  };
}

/** Why nft cannot be used here; undefined when it can. Asks the kernel, and changes nothing. */
export function whyNoNft(commands: CommandRunner): Promise<string | undefined> {
  return whyNot(() => runOrThrow(commands, "nft", ["list", "tables"]));
}

/**
 * Why this kernel or this nft cannot run the program; undefined when they can. The program is built and taken away again in
 * one transaction, so nothing comes into force, but every module it needs is loaded and every rule judged.
 */
export function whyNoProgram(commands: CommandRunner, families: readonly Family[]): Promise<string | undefined> {
  const probe = families
    .map((family) => {
      const table = `${familyName[family]} fairlead_probe`;
      return `table ${table} {\n${probeOf(family)}\n}\ndelete table ${table}\n`;
    })
    .join("");
  return whyNot(() => childNft(commands).run(probe));
}

async function whyNot(attempt: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[0] ?? error.message) : String(error);
  }
}
