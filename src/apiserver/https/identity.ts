import type { TLSSocket } from "node:tls";
import { statusError, type StatusError } from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";

/** 401 for credentials that are not valid; without any, a client is anonymous. */
export function unauthorized(): StatusError {
  return statusError("Unauthorized", "Unauthorized", {});
}

const known = new WeakMap<TLSSocket, UserInfo>();

/**
 * Who is at the other end: CN is the user, each O a group, and all who show a certificate belong to `system:authenticated`.
 * Undefined: no certificate was shown. Throws StatusError Unauthorized for one that the authority did not sign or that has ended.
 */
export function userOf(socket: TLSSocket): UserInfo | undefined {
  const found = known.get(socket);
  if (found) return found;
  const { subject, raw } = socket.getPeerCertificate();
  if (!raw) return undefined;
  if (!socket.authorized) throw unauthorized();
  const user = userFromSubject(subject);
  known.set(socket, user);
  return user;
}

/** User and groups that the subject of a verified certificate names. Throws StatusError Unauthorized when it names no user. */
export function userFromSubject(subject: Readonly<Record<string, string | string[] | undefined>>): UserInfo {
  const [name] = list(subject["CN"]);
  if (!name) throw unauthorized();
  return { name, groups: [...new Set([...list(subject["O"]), "system:authenticated"])] };
}

function list(value: string | string[] | undefined): string[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}
