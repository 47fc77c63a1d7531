import type { UserInfo } from "../handler.ts";

/** The headers in which an aggregated server learns who asks (upstream's `--requestheader-*` of the same names). */
export function userHeaders({ name, uid, groups, extra = {} }: UserInfo): Record<string, string | string[]> {
  return {
    "x-remote-user": headerText(name),
    ...(uid ? { "x-remote-uid": headerText(uid) } : {}),
    "x-remote-group": groups.map(headerText),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [`x-remote-extra-${escapeKey(key)}`, values.map(headerText)]),
    ),
  };
}

/** Who asks when the API server itself looks whether a server is there. */
export const aggregatorUser: UserInfo = { name: "system:kube-aggregator", groups: ["system:masters"] };

/** A header is bytes: what is beyond Latin letters goes as UTF-8, and no name can end the line. */
function headerText(text: string): string {
  return Buffer.from(text.replace(/[\r\n\0]/g, " ")).toString("latin1");
}

/** Keys of extra may have characters that no header's name has: they are percent-encoded. */
function escapeKey(key: string): string {
  return [...Buffer.from(key)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9!#$&'*+.^_`|~-]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("")
    .toLowerCase();
}
