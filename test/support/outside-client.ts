import type { IpFamily } from "../../src/kube/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { printed } from "./cluster.ts";
import type { Lab } from "./lab.ts";

/** A machine outside a cluster: all that it sends goes to the lab. */
export interface OutsideClient {
  readonly addresses: Readonly<Record<IpFamily, string>>;
  /** What a GET of this URL answers; throws where there is no answer. */
  get(url: string, host?: string): Promise<string>;
  close(): Promise<void>;
}

const cable = {
  IPv4: { lab: "192.0.2.1", client: "192.0.2.2", prefix: 24 },
  IPv6: { lab: "fd00:a::1", client: "fd00:a::2", prefix: 64 },
} as const;

/** Joins such a machine to the lab by a cable. The lab has the address .1 or ::1 on it. */
export async function openOutsideClient(
  lab: Lab,
  families: readonly IpFamily[] = ["IPv4", "IPv6"],
): Promise<OutsideClient> {
  const name = `fairlead-test-out-${process.pid}`;
  const ip = (...args: string[]) => runOrThrow(systemCommands, "ip", args);
  await ip("netns", "add", name);
  try {
    const inLab = async (...args: string[]) => printed(await lab.run("ip", args));
    await inLab("link", "add", "cable", "type", "veth", "peer", "name", "eth0", "netns", name);
    await inLab("link", "set", "cable", "up");
    await ip("-n", name, "link", "set", "eth0", "up");
    for (const family of families) {
      const { lab: near, client, prefix } = cable[family];
      const now = family === "IPv6" ? ["nodad"] : [];
      await inLab("address", "add", `${near}/${prefix}`, "dev", "cable", ...now);
      await ip("-n", name, "address", "add", `${client}/${prefix}`, "dev", "eth0", ...now);
      await ip("-n", name, "route", "add", "default", "via", near);
    }
  } catch (error) {
    await ip("netns", "delete", name);
    throw error;
  }
  return {
    addresses: { IPv4: cable.IPv4.client, IPv6: cable.IPv6.client },
    async get(url, host) {
      const header = host === undefined ? [] : ["-H", `Host: ${host}`];
      const asked = ["curl", "-gsS", "-m", "15", "--retry", "3", "--retry-connrefused", ...header, url];
      return printed(await systemCommands.run("nsenter", [`--net=/run/netns/${name}`, "--", ...asked]));
    },
    close: async () => void (await ip("netns", "delete", name)),
  };
}
