import { parseJson, statusError } from "../../kube/index.ts";

/** Where a chunked list goes on. Opaque to clients. */
export interface ContinueToken {
  /** Version that the list shows; -1: the newest, as after a token that had expired. */
  readonly revision: number;
  /** The last name already given, relative to the prefix of the list. */
  readonly after: string;
}

const version = "meta.k8s.io/v1";
/** Nothing comes between a name and this key: it stands for what follows the name. */
const next = "\0";

/** In upstream's form (apiserver `pkg/storage/continue.go`). */
export function encodeContinue({ revision, after }: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: version, rv: revision, start: after + next })).toString("base64url");
}

/** Throws StatusError BadRequest, in upstream's words, for what is none. */
export function decodeContinue(text: string): ContinueToken {
  const refuse = (why: string): never => {
    throw statusError("BadRequest", `invalid continue token: continue key is not valid: ${why}`);
  };
  const wrong = /[^A-Za-z0-9_-]/.exec(text);
  if (wrong || text.length % 4 === 1)
    return refuse(`illegal base64 data at input byte ${wrong ? wrong.index : text.length - 1}`);
  const token = read(text, refuse);
  const { v, rv, start } = (typeof token === "object" && token !== null ? token : {}) as Record<string, unknown>;
  if (v !== version) return refuse(`server does not recognize this encoded version ${typeof v === "string" ? v : ""}`);
  if (!Number.isSafeInteger(rv) || rv === 0)
    return refuse(`incorrect encoded start resourceVersion (version ${version})`);
  if (typeof start !== "string" || start === "") return refuse(`encoded start key empty (version ${version})`);
  // It may not lead out of what is listed.
  const name = start.replace(/^\//, "");
  if (name.split("/").some((part) => part === "" || part === "." || part === "..")) return refuse(start);
  return { revision: rv as number, after: name.endsWith(next) ? name.slice(0, -1) : name };
}

function read(text: string, refuse: (why: string) => never): unknown {
  try {
    return parseJson(Buffer.from(text, "base64url").toString()).value;
  } catch (error) {
    return refuse((error as Error).message);
  }
}
