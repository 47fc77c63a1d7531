import { statusError } from "../../kube/index.ts";

/** Where a chunked list goes on. Opaque to clients. */
export interface ContinueToken {
  /** Version that the list shows; -1: the newest, as after a token that had expired. */
  readonly revision: number;
  /** The last name already given, relative to the prefix of the list. */
  readonly after: string;
}

export function encodeContinue(token: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: "fairlead/v1", rv: token.revision, after: token.after })).toString(
    "base64url",
  );
}

/** Throws StatusError BadRequest for what `encodeContinue` did not make. */
export function decodeContinue(text: string): ContinueToken {
  const refuse = (why: string): never => {
    throw statusError("BadRequest", `invalid continue token: continue key is not valid: ${why}`);
  };
  let token: unknown;
  try {
    token = JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    return refuse("it was not given by this server");
  }
  const { v, rv, after } = (token ?? {}) as Record<string, unknown>;
  if (v !== "fairlead/v1") return refuse("server does not recognize this encoded version");
  if (!Number.isSafeInteger(rv) || rv === 0 || typeof after !== "string" || after === "")
    return refuse("it was not given by this server");
  return { revision: rv as number, after };
}
