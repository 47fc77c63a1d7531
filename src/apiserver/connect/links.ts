import { createGunzip, createInflate } from "node:zlib";
import { Readable } from "node:stream";

/** Attributes that hold a link, by tag, as upstream's proxy has them. */
const attributes: Readonly<Record<string, readonly string[]>> = {
  a: ["href"],
  applet: ["codebase"],
  area: ["href"],
  audio: ["src"],
  base: ["href"],
  blockquote: ["cite"],
  body: ["background"],
  button: ["formaction"],
  command: ["icon"],
  del: ["cite"],
  embed: ["src"],
  form: ["action"],
  frame: ["longdesc", "src"],
  head: ["profile"],
  html: ["manifest"],
  iframe: ["longdesc", "src"],
  img: ["longdesc", "src", "usemap"],
  input: ["src", "usemap", "formaction"],
  ins: ["cite"],
  link: ["href"],
  object: ["classid", "codebase", "data", "usemap"],
  q: ["cite"],
  script: ["src"],
  source: ["src"],
};

/** Tags whose content is no markup. */
const raw: ReadonlySet<string> = new Set([
  "script",
  "style",
  "textarea",
  "title",
  "xmp",
  "iframe",
  "noembed",
  "noframes",
]);

/** Longest tag that is looked at. */
const mostTag = 64 << 10;

/** A page with its links changed, as it comes. What was compressed comes out as it is. */
export async function* rewriteLinks(
  chunks: AsyncIterable<Uint8Array>,
  encoding: string | string[] | undefined,
  change: (link: string) => string,
): AsyncGenerator<Uint8Array> {
  const plain = encoding === undefined ? chunks : inflated(chunks, encoding === "gzip");
  const page = createPage(change);
  // Latin-1 keeps every byte as it is: tags and links that are looked at are ASCII in all encodings of the web.
  for await (const chunk of plain) yield Buffer.from(page.take(Buffer.from(chunk).toString("latin1")), "latin1");
  yield Buffer.from(page.rest(), "latin1");
}

function inflated(chunks: AsyncIterable<Uint8Array>, isGzip: boolean): AsyncIterable<Uint8Array> {
  const source = Readable.from(chunks, { objectMode: false });
  const target = isGzip ? createGunzip() : createInflate();
  source.on("error", (error) => target.destroy(error));
  target.on("close", () => source.destroy());
  return source.pipe(target);
}

interface Page {
  take(text: string): string;
  rest(): string;
}

function createPage(change: (link: string) => string): Page {
  let held = "";
  /** Inside a tag whose content is no markup, or a comment: what ends it. */
  let until = "";

  const step = (last: boolean): string => {
    let out = "";
    for (;;) {
      if (until !== "") {
        const end = held.toLowerCase().indexOf(until);
        if (end < 0) {
          const keep = last ? 0 : Math.min(held.length, until.length - 1);
          out += held.slice(0, held.length - keep);
          held = held.slice(held.length - keep);
          return out;
        }
        out += held.slice(0, end);
        held = held.slice(end);
        until = "";
        if (held.startsWith("-->")) {
          out += "-->";
          held = held.slice(3);
        }
        continue;
      }
      const begin = held.indexOf("<");
      if (begin < 0) {
        out += held;
        held = "";
        return out;
      }
      out += held.slice(0, begin);
      held = held.slice(begin);
      if (held.startsWith("<!--")) {
        out += "<!--";
        held = held.slice(4);
        until = "-->";
        continue;
      }
      if (held.length < 4 && !last && "<!--".startsWith(held)) return out;
      const end = endOfTag(held);
      if (end < 0) {
        if (last || held.length > mostTag) {
          out += held;
          held = "";
        }
        return out;
      }
      const tag = held.slice(0, end + 1);
      held = held.slice(end + 1);
      const name = /^<([a-z][a-z0-9]*)/i.exec(tag)?.[1]?.toLowerCase() ?? "";
      out += name in attributes ? changeTag(tag, attributes[name] ?? [], change) : tag;
      if (raw.has(name) && !tag.endsWith("/>")) until = `</${name}`;
    }
  };
  return {
    take(text) {
      held += text;
      return step(false);
    },
    rest: () => step(true),
  };
}

/** Where a tag ends: a `>` outside quotes; -1 when it is not there yet. */
function endOfTag(text: string): number {
  let quote = "";
  for (let i = 1; i < text.length; i++) {
    const character = text[i];
    if (quote) {
      if (character === quote) quote = "";
    } else if ((character === '"' || character === "'") && /=\s*$/.test(text.slice(Math.max(0, i - 8), i)))
      quote = character;
    else if (character === ">") return i;
  }
  return -1;
}

function changeTag(tag: string, names: readonly string[], change: (link: string) => string): string {
  return tag.replace(
    /(\s)([a-z-]+)(\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi,
    (whole: string, space: string, name: string, equals: string, double?: string, single?: string, bare?: string) => {
      if (!names.includes(name.toLowerCase())) return whole;
      const quote = double !== undefined ? '"' : single !== undefined ? "'" : "";
      const link = (double ?? single ?? bare ?? "").replaceAll("&amp;", "&");
      const changed = change(link);
      if (changed === link) return whole;
      return `${space}${name}${equals}${quote}${changed.replaceAll("&", "&amp;")}${quote}`;
    },
  );
}
