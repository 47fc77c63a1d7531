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
  try {
    const token = JSON.parse(Buffer.from(text, "base64url").toString()) as Record<string, unknown>;
    if (token["v"] === "fairlead/v1" && Number.isSafeInteger(token["rv"]) && typeof token["after"] === "string")
      return { revision: token["rv"] as number, after: token["after"] };
  } catch {
    // Not JSON: not ours.
  }
  throw statusError("BadRequest", "continue key is not valid: it was not given by this server");
}
