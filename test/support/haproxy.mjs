// A real HAProxy that does what a contract server was told: the data path behind a cloud or an appliance that cannot be had in a test.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Frontends are { name, address, port, sticky, members: [{ address, port }] }, TCP only. A connection that stands stays over changes. */
export function createHaproxy(folder) {
  let child;
  let text = "";
  let last = Promise.resolve();
  const word = (value) => {
    if (!/^[A-Za-z0-9_.:-]{1,128}$/.test(String(value))) throw new Error(`not for HAProxy: ${JSON.stringify(value)}`);
    return String(value);
  };
  const render = (frontends) =>
    [
      "global",
      "  maxconn 1000",
      "defaults",
      "  mode tcp",
      "  timeout connect 5s",
      "  timeout client 30s",
      "  timeout server 30s",
      ...frontends.flatMap(({ name, address, port, sticky, members }) => [
        `listen ${word(name)}`,
        `  bind ${word(address)}:${word(port)}`,
        `  balance ${sticky ? "source" : "roundrobin"}`,
        ...members.map((one, i) => `  server s${i} ${word(one.address)}:${word(one.port)}`),
      ]),
      "",
    ].join("\n");
  async function apply(frontends) {
    const next = render(frontends);
    if (next === text) return;
    text = next;
    const old = child;
    child = undefined;
    if (frontends.length === 0) {
      old?.kill("SIGUSR1");
      return;
    }
    const file = join(folder, "haproxy.cfg");
    await writeFile(file, text);
    const args = ["-db", "-f", file, ...(old ? ["-sf", String(old.pid)] : [])];
    child = spawn("haproxy", args, { stdio: "ignore" });
  }
  return {
    apply(frontends) {
      last = last.then(() => apply(frontends)).catch((error) => console.error(String(error)));
      return last;
    },
    close: () => child?.kill("SIGTERM"),
  };
}
