import { join } from "node:path";
import type { CommandRunner } from "../../../system/index.ts";
import { silence, type SpeakerProgram, type SpeakerState } from "../speaker.ts";
import { birdConfig } from "./config.ts";
import { askBird, readBfd, readPrefixes, readProtocols } from "./control.ts";

/** BIRD 2: one process; a table and a protocol a session, and a file of routes, so that a change of addresses is a change of that file. */
export function birdProgram(dir: string, commands: CommandRunner): SpeakerProgram {
  const config = join(dir, "current/bird.conf");
  const control = join(dir, "bird.ctl");
  const pidFile = join(dir, "bird.pid");
  return {
    name: "bird",
    product: "BIRD",
    package: "bird2",
    version: { command: ["bird", "--version"], least: 2 },
    mainFile: "bird.conf",
    processes: [
      {
        file: "bird",
        args: ({ recover }) => ["-f", "-c", config, "-s", control, "-P", pidFile, ...(recover ? ["-R"] : [])],
        pidFile,
        config,
        isUrgent: true,
      },
    ],
    files: birdConfig,
    async refusal(folder) {
      const { code, stderr, stdout } = await commands.run("bird", ["-p", "-c", join(folder, "bird.conf")]);
      return code === 0 ? undefined : (stderr || stdout).trim();
    },
    async reload() {
      // It finds out by itself what is another.
      await askBird(control, "configure");
      return true;
    },
    async look(before = silence): Promise<SpeakerState> {
      const sessions = readProtocols(await askBird(control, "show protocols all"));
      const bfd = readBfd(await askBird(control, "show bfd sessions").catch(() => []));
      const prefixes = new Map<string, readonly string[]>();
      for (const [key, { state, exported }] of sessions) {
        if (state !== "Established" || exported === 0) continue;
        // The list is asked for only when it may be another.
        const known = before.sessions.get(key)?.exported === exported ? before.prefixes.get(key) : undefined;
        prefixes.set(key, known ?? readPrefixes(await askBird(control, `show route export ${key}`)));
      }
      return { sessions, bfd, prefixes };
    },
  };
}
