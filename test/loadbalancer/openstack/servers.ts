import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, runOrThrow, systemCommands } from "../../../src/system/index.ts";
import { repository } from "../../support/lab.ts";
import { venvOf } from "../../support/venv.ts";

/** OpenStack's own packages, as they are on PyPI. */
const packages = ["octavia==19.0.0", "keystone==30.0.0", "openstacksdk==4.22.0"];

const { python, install } = venvOf("openstack", packages);
export const installOpenStack = install;

/** What Octavia does with what is pending; see octavia_server.py. */
export interface Mode {
  readonly delay?: number;
  readonly errors?: number;
  readonly flaps?: number;
  readonly hold?: boolean;
}

export interface OpenStack {
  readonly authUrl: string;
  readonly octaviaUrl: string;
  readonly password: string;
  mode(mode: Mode): Promise<void>;
  /** Requests that have written since the last question, by the status of their answer. */
  writes(): Promise<Record<string, number>>;
  /** New tokens live so many seconds. */
  expiration(seconds: number): Promise<void>;
  /** All tokens end. */
  revoke(): Promise<void>;
  /** What OpenStack's own client sees: kinds and how many, or more of them. */
  sdk(program: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Keystone and Octavia's API, the real ones, on loopback. */
export async function startOpenStack(): Promise<OpenStack> {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-openstack-"));
  const [keystonePort, octaviaPort] = [await freePort(), await freePort()];
  const children: ChildProcess[] = [];
  const start = async (script: string, ...args: string[]) => {
    const path = join(repository, "test/loadbalancer/openstack", script);
    const child = spawn(python, [path, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let said = "";
    child.stderr.on("data", (chunk) => (said = `${said}${String(chunk)}`.slice(-8_000)));
    const ready = new Promise<void>((resolve) => {
      child.stdout.on("data", (chunk) => {
        if (String(chunk).includes("ready")) resolve();
      });
    });
    const ended = once(child, "exit").then(() => {
      throw new Error(`${script} ended: ${said}`);
    });
    ended.catch(() => {});
    await Promise.race([ready, ended]);
  };
  const close = async () => {
    for (const child of children) {
      if (child.exitCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all([
      start("keystone_server.py", join(folder, "keystone"), String(keystonePort), String(octaviaPort)),
      start("octavia_server.py", join(folder, "octavia"), String(octaviaPort), String(keystonePort)),
    ]);
  } catch (error) {
    await close();
    throw error;
  }
  const authUrl = `http://127.0.0.1:${keystonePort}/v3`;
  const octaviaUrl = `http://127.0.0.1:${octaviaPort}`;
  const password = "fairlead-secret-password";
  const post = async (url: string, body?: object) => {
    const response = await fetch(url, { method: "POST", ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
  };
  return {
    authUrl,
    octaviaUrl,
    password,
    mode: (mode) => post(`${octaviaUrl}/_test/mode`, { delay: 0, errors: 0, flaps: 0, hold: false, ...mode }),
    writes: async () => (await fetch(`${octaviaUrl}/_test/writes`)).json() as Promise<Record<string, number>>,
    expiration: (seconds) => post(`http://127.0.0.1:${keystonePort}/_test/expiration?seconds=${seconds}`),
    revoke: () => post(`http://127.0.0.1:${keystonePort}/_test/revoke`),
    async sdk(program) {
      const settings = `auth_url=${JSON.stringify(authUrl)}, username="admin", password=${JSON.stringify(password)}, project_name="admin"`;
      const text = [
        "import json, warnings",
        'warnings.filterwarnings("ignore")',
        "import openstack",
        `cloud = openstack.connect(${settings}, user_domain_id="default", project_domain_id="default", region_name="RegionOne")`,
        "lb = cloud.load_balancer",
        `print(json.dumps(${program}))`,
      ].join("\n");
      return JSON.parse(await runOrThrow(systemCommands, python, ["-c", text], { timeout: 600_000 })) as unknown;
    },
    close,
  };
}
