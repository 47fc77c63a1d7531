import type { UserInfo } from "../handler.ts";
import { extraFrom, headerValues } from "./headers.ts";

/** Who may speak for others, and in which headers: upstream's `--requestheader-*` flags. */
export interface FrontProxyOptions {
  /** CNs of certificates that may. None: every one that the front proxies' authority signed. */
  readonly allowedNames: readonly string[];
}

const userHeader = "x-remote-user";
const uidHeader = "x-remote-uid";
const groupHeader = "x-remote-group";
const extraPrefix = "x-remote-extra-";

/**
 * The user whom a front proxy vouches for. Undefined: the proxy is not one of those allowed, or names nobody. Only call it for a
 * certificate that the front proxies' authority signed: from anyone else these headers mean nothing.
 */
export function frontProxyUser(
  { allowedNames }: FrontProxyOptions,
  proxy: string,
  rawHeaders: readonly string[],
): UserInfo | undefined {
  if (allowedNames.length > 0 && !allowedNames.includes(proxy)) return undefined;
  const values = headerValues(rawHeaders, (name) => name.startsWith("x-remote-"));
  const name = values.get(userHeader)?.[0]?.trim();
  if (!name) return undefined;
  const [uid] = values.get(uidHeader) ?? [];
  const extra = extraFrom(values, extraPrefix);
  return {
    name,
    groups: values.get(groupHeader) ?? [],
    ...(uid ? { uid } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
}
