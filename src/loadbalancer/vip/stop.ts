import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Milliseconds that keepalived gets to take its addresses off. */
const patience = 5_000;

/** Ends the keepalived that an agent has left in `dir`, if there is one; it takes its addresses off. Settles when it has gone. */
export async function stopVipDaemon(dir: string): Promise<boolean> {
  const pid = Number((await readFile(join(dir, "keepalived.pid"), "utf8").catch(() => "")).trim());
  if (!Number.isInteger(pid) || pid <= 1) return false;
  /** The number may be another process's by now. */
  const isIt = async () =>
    (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0").includes(join(dir, "keepalived.conf"));
  if (!(await isIt())) return false;
  process.kill(pid, "SIGTERM");
  for (let waited = 0; await isIt(); waited += 20) {
    if (waited === patience) process.kill(pid, "SIGKILL");
    await new Promise((done) => setTimeout(done, 20));
  }
  return true;
}
