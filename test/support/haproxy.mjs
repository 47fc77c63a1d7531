// A real HAProxy that does what a contract server was told: the data path behind a cloud or an appliance that cannot be had in a test.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Frontends are { name, address, port, sticky, members: [{ address, port }] } for TCP, or { name, address, port, tls: [PEM], http: [{ hostname,
 * path, isExact, members, status }] }, where the first rule that matches counts; a `status` is answered by itself. A connection that stands stays
 * over changes.
 */
export function createHaproxy(folder) {
  let child;
  /** All that run: those before the last one too, while they still have connections. */
  const running = new Set();
  const endAll = () => running.forEach((each) => each.kill("SIGTERM"));
  process.once("exit", endAll);
  let seen = "";
  let last = Promise.resolve();
  const word = (value) => {
    if (!/^[A-Za-z0-9_.:/-]{1,128}$/.test(String(value))) throw new Error(`not for HAProxy: ${JSON.stringify(value)}`);
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
      ...frontends.filter(({ http }) => http).flatMap(renderHttp),
      ...frontends
        .filter(({ http }) => !http)
        .flatMap(({ name, address, port, sticky, members }) => [
          `listen ${word(name)}`,
          `  bind ${word(address)}:${word(port)}`,
          `  balance ${sticky ? "source" : "roundrobin"}`,
          ...members.map((one, i) => `  server s${i} ${word(one.address)}:${word(one.port)}`),
        ]),
      "",
    ].join("\n");
  const renderHttp = ({ name, address, port, tls = [], http }) => {
    const condition = ({ hostname = "", path = "", isExact = false }, i) => [
      ...(hostname.startsWith("*.")
        ? [`  acl r${i} hdr(host),field(1,:) -i -m end ${word(hostname.slice(1))}`]
        : hostname
          ? [`  acl r${i} hdr(host),field(1,:) -i ${word(hostname)}`]
          : []),
      ...(path ? [`  acl p${i} ${isExact ? "path" : "path_beg"} ${word(path)}`] : []),
      `  use_backend ${word(name)}.${i}${hostname || path ? ` if${hostname ? ` r${i}` : ""}${path ? ` p${i}` : ""}` : ""}`,
    ];
    return [
      `frontend ${word(name)}`,
      "  mode http",
      `  bind ${word(address)}:${word(port)}${tls.length > 0 ? ` ssl crt ${join(folder, word(name))}/` : ""}`,
      ...http.flatMap(condition),
      ...http.flatMap(({ members, status }, i) => [
        `backend ${word(name)}.${i}`,
        "  mode http",
        ...(status ? [`  http-request return status ${Number(status)}`] : []),
        ...members.map((one, j) => `  server s${j} ${word(one.address)}:${word(one.port)}`),
      ]),
    ];
  };
  async function writeCertificates(frontends) {
    for (const { name, tls = [] } of frontends) {
      if (tls.length === 0) continue;
      await mkdir(join(folder, word(name)), { recursive: true });
      for (const [i, pem] of tls.entries()) await writeFile(join(folder, name, `${i}.pem`), pem);
    }
  }
  async function apply(frontends) {
    const certificates = JSON.stringify(frontends.map(({ tls }) => tls));
    const next = render(frontends);
    if (next + certificates === seen) return;
    seen = next + certificates;
    const text = next;
    await writeCertificates(frontends);
    const old = child;
    child = undefined;
    if (frontends.length === 0) {
      old?.kill("SIGUSR1");
      return;
    }
    const file = join(folder, "haproxy.cfg");
    await writeFile(file, text);
    const args = ["-db", "-f", file, ...(old ? ["-sf", String(old.pid)] : [])];
    const started = spawn("haproxy", args, { stdio: "ignore" });
    running.add(started);
    const gone = () => running.delete(started);
    started.once("exit", gone).once("error", gone);
    child = started;
  }
  return {
    apply(frontends) {
      last = last.then(() => apply(frontends)).catch((error) => console.error(String(error)));
      return last;
    },
    close: endAll,
  };
}
