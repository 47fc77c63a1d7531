import { createGunzip, createInflate } from "node:zlib";
import { Readable } from "node:stream";

/** Attributes that hold a link, by tag, as upstream's proxy has them. */
const attributes: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
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
  }),
);

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
  /** What has come and can not be passed on yet. */
  let held = "";
  /** Inside a tag whose content is no markup, or a comment: what ends it. */
  let until: RegExp | undefined;
  /** How far the tag at the beginning of `held` was looked at: each character once, however small the pieces that it comes in. */
  let scan = fresh();

  const step = (last: boolean): string => {
    let out = "";
    let at = 0;
    const rest = (end: number): string => {
      out += held.slice(at, end);
      held = held.slice(end);
      return out;
    };
    for (;;) {
      if (until) {
        until.lastIndex = at;
        const found = until.exec(held);
        if (!found) return rest(last ? held.length : Math.max(at, held.length - longestEnd));
        // The end of a comment is passed on with it; an end tag is looked at like any other.
        const end = found[0] === "-->" ? found.index + 3 : found.index;
        out += held.slice(at, end);
        at = end;
        until = undefined;
        continue;
      }
      const begin = held.indexOf("<", at);
      if (begin < 0) return rest(held.length);
      out += held.slice(at, begin);
      at = begin;
      if (held.startsWith("<!--", at)) {
        out += "<!--";
        at += 4;
        until = endOfComment;
        continue;
      }
      if (held.length - at < 4 && !last && "<!--".startsWith(held.slice(at))) return rest(at);
      if (at > 0) {
        held = held.slice(at);
        at = 0;
        scan = fresh();
      }
      const end = endOfTag(held, scan);
      if (end < 0) {
        if (!last && held.length <= mostTag) return out;
        scan = fresh();
        return rest(held.length);
      }
      scan = fresh();
      const tag = held.slice(0, end + 1);
      at = end + 1;
      const name = /^<([a-z][a-z0-9]*)/i.exec(tag)?.[1]?.toLowerCase() ?? "";
      const names = attributes.get(name);
      out += names ? changeTag(tag, names, change) : tag;
      if (raw.has(name) && !tag.endsWith("/>")) until = new RegExp(`</${name}`, "gi");
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

const endOfComment = /-->/g;
/** Characters, less one, of the longest text that ends a part without markup: `</textarea`. */
const longestEnd = 9;

interface Scan {
  at: number;
  quote: string;
}

const fresh = (): Scan => ({ at: 1, quote: "" });

/** Where a tag ends: a `>` outside quotes; -1 when it is not there yet. Goes on where `scan` was. */
function endOfTag(text: string, scan: Scan): number {
  for (; scan.at < text.length; scan.at++) {
    const character = text[scan.at] ?? "";
    if (scan.quote) {
      if (character === scan.quote) scan.quote = "";
    } else if (character === ">") return scan.at;
    else if ((character === '"' || character === "'") && followsEquals(text, scan.at)) scan.quote = character;
  }
  return -1;
}

const followsEquals = (text: string, at: number): boolean => /=\s*$/.test(text.slice(Math.max(0, at - 8), at));

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
