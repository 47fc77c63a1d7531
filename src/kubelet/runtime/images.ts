import { createHash } from "node:crypto";
import { RuntimeError } from "./runtime.ts";

/** What an image is to the process runtime: a command of this machine. */
export interface ProcessImage {
  readonly id: string;
  readonly command: readonly string[];
  readonly user?: number;
}

/** Image name, with or without a tag, to the command that stands for it. */
export type ImageMap = Readonly<Record<string, { readonly command: readonly string[]; readonly user?: number }>>;

/**
 * Finds the command for an image: by its full name, else without its tag or digest. `docker.io/library/nginx`,
 * `docker.io/nginx` and `nginx` are the same name. Throws `RuntimeError` IMAGE_UNKNOWN with what to do.
 */
export function findImage(images: ImageMap, image: string): ProcessImage {
  const byName = new Map(Object.entries(images).map(([name, entry]) => [familiar(name), entry]));
  const entry = byName.get(familiar(image)) ?? byName.get(repository(familiar(image)));
  if (!entry) {
    throw new RuntimeError(
      "IMAGE_UNKNOWN",
      `image "${image}" is not mapped to a command on this node: start with --image ${repository(familiar(image))}=COMMAND`,
    );
  }
  const digest = createHash("sha256").update(JSON.stringify(entry.command)).digest("hex");
  const user = entry.user === undefined ? {} : { user: entry.user };
  return { id: `${repository(familiar(image))}@sha256:${digest}`, command: entry.command, ...user };
}

function familiar(name: string): string {
  return name.replace(/^docker\.io\//, "").replace(/^library\//, "");
}

function repository(name: string): string {
  const bare = name.split("@")[0] ?? name;
  const colon = bare.lastIndexOf(":");
  return colon > bare.lastIndexOf("/") ? bare.slice(0, colon) : bare;
}
