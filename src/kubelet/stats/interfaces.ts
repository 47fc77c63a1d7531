import { readFileSync } from "node:fs";
import type { InterfaceUsage } from "../runtime/runtime.ts";

/** What has gone through the interfaces that a process sees, loopback left out; none when it has ended. */
export function readInterfaces(pid: number): InterfaceUsage[] {
  try {
    return parseInterfaces(readFileSync(`/proc/${pid}/net/dev`, "utf8"));
  } catch {
    return [];
  }
}

/** Reads the table of `/proc/net/dev`: two lines of headings, then a line an interface. */
export function parseInterfaces(text: string): InterfaceUsage[] {
  return text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const [name = "", figures] = line.split(":");
      const numbers = figures?.trim().split(/\s+/).map(Number) ?? [];
      if (numbers.length < 12 || name.trim() === "lo") return [];
      const traffic = (first: number) => {
        const [bytes = 0, packets = 0, errors = 0, dropped = 0] = numbers.slice(first);
        return { bytes, packets, errors, dropped };
      };
      return [{ name: name.trim(), received: traffic(0), sent: traffic(8) }];
    });
}
