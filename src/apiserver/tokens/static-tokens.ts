import { createHash } from "node:crypto";
import type { TokenAuthenticator } from "../authentication/index.ts";
import type { UserInfo } from "../handler.ts";

/** The file of static tokens is not what it should be. The message names the line, and holds nothing secret. */
export class TokenFileError extends Error {
  override readonly name = "TokenFileError";
  readonly code = "BAD_FILE";
}

/**
 * Takes the tokens of a CSV file, as upstream's `--token-auth-file`: `token,user,uid` and, quoted, `"group1,group2"`. Tokens are kept by
 * their hash alone. `audiences` are those of this API. Throws TokenFileError.
 */
export function createStaticTokens(csv: string, audiences: readonly string[]): TokenAuthenticator {
  const users = new Map<string, UserInfo>();
  for (const [i, line] of csv.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [token = "", name = "", uid = "", groups = "", ...more] = fieldsOf(line);
    if (!token || !name || more.length > 0)
      throw new TokenFileError(`line ${i + 1} must be: token,user,uid and at most one field "group1,group2"`);
    if (users.has(hashOf(token))) throw new TokenFileError(`line ${i + 1}: its token is there before`);
    const list = groups.split(",").filter((group) => group !== "");
    users.set(hashOf(token), { name, groups: list, ...(uid ? { uid } : {}) });
  }
  return (token, wanted) => {
    const user = users.get(hashOf(token));
    const fitting = wanted.filter((one) => audiences.includes(one));
    return user && (wanted.length === 0 || fitting.length > 0) ? { user, audiences: fitting } : undefined;
  };
}

const hashOf = (token: string): string => createHash("sha256").update(token).digest("base64");

/** The fields of one line; quotes hold commas together, and two of them stand for one. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)\s*(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain = ""]) =>
    quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'),
  );
}
