import { stringify } from "yaml";

const options = { lineWidth: 0, aliasDuplicateObjects: false } as const;

/** An object as YAML, in chunks: the entries of a list one by one, made while they are sent, so that no list holds the thread. */
export function* yamlChunks(object: object): Generator<Uint8Array> {
  const list = Object.entries(object).find(
    ([name, value]) => lists.has(name) && Array.isArray(value) && value.length > 0,
  );
  if (!list) {
    yield Buffer.from(stringify(object, options));
    return;
  }
  const [name, entries] = list as [string, readonly unknown[]];
  yield Buffer.from(`${stringify({ ...object, [name]: undefined }, options)}${name}:\n`);
  for (const entry of entries) yield Buffer.from(stringify([entry], options));
}

/** Fields that hold the entries of a list, or of a table. */
const lists: ReadonlySet<string> = new Set(["items", "rows"]);
