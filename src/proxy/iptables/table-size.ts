import type { Family } from "../../services/index.ts";

/** How large the tables of the older iptables are, as the kernel says it without a list: no lock is taken, it costs microseconds. */
export interface TableSizes {
  /** Another text when rules have come or gone in `nat`; undefined where the kernel does not say. */
  now(families: readonly Family[]): string | undefined;
  close(): void;
}

// From linux/netfilter_ipv4/ip_tables.h and its like of IPv6: struct ipt_getinfo and IPT_SO_GET_INFO.
const asked: Readonly<Record<Family, { readonly domain: number; readonly level: number }>> = {
  IPv4: { domain: 2, level: 0 },
  IPv6: { domain: 10, level: 41 },
};
const [raw, closeOnExec, protocol] = [3, 0o2000000, 255];
const getInfo = 64;
const [nameSize, infoSize] = [32, 84];

/** Asks the network namespace that this thread is in. Rejects where there is no foreign function interface. */
export async function openTableSizes(): Promise<TableSizes> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const func = (prototype: string) => libc.func(prototype) as (...values: (number | Buffer)[]) => number;
  const socket = func("int socket(int, int, int)");
  const getOption = func("int getsockopt(int, int, int, void *, void *)");
  const shut = func("int close(int)");
  const sockets = new Map<Family, number>();
  const info = Buffer.alloc(infoSize);

  function of(family: Family): string | undefined {
    const { domain, level } = asked[family];
    const fd = sockets.get(family) ?? socket(domain, raw | closeOnExec, protocol);
    if (fd < 0) return undefined;
    sockets.set(family, fd);
    info.fill(0);
    info.write("nat");
    const size = Buffer.from(new Int32Array([infoSize]).buffer);
    if (getOption(fd, level, getInfo, info, size) !== 0) return undefined;
    return info.toString("hex", nameSize);
  }

  return {
    now(families) {
      const sizes = families.map(of);
      return sizes.includes(undefined) ? undefined : sizes.join(" ");
    },
    close() {
      for (const fd of sockets.values()) shut(fd);
      sockets.clear();
    },
  };
}

/** Tells when it is worth while to look whether the rules still lead into the program: each look reads all of them, and others wait for it. */
export interface SizeWatch {
  /** Runs a change of ours. */
  ownChange(change: () => Promise<void>): Promise<void>;
  /** Whether there may be something to see, by what `isThere` says of it; called once in a while. */
  isDamaged(isThere: () => Promise<boolean>): Promise<boolean>;
}

/** Looks without a change of ours, after which it is seen once whether the rules are as they should be. */
const quiet = 40;

export function createSizeWatch(size: () => string | undefined): SizeWatch {
  /** Of the rules as they should be; undefined: not known. */
  let known: string | undefined;
  let isSeen = false;
  let looks = 0;
  let changing = 0;
  return {
    async ownChange(change) {
      const wasKnown = known !== undefined && size() === known;
      const isFirst = !isSeen && known === undefined;
      changing++;
      try {
        await change();
      } finally {
        changing--;
        looks = 0;
        isSeen = false;
        known = wasKnown || isFirst ? size() : undefined;
      }
    },
    async isDamaged(isThere) {
      if (changing > 0) return false;
      const now = size();
      looks++;
      if (now !== undefined && now === known && (isSeen || looks < quiet)) return false;
      if (!(await isThere())) return true;
      known = now;
      isSeen = true;
      return false;
    },
  };
}
