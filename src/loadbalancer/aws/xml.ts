import { ProviderFailure } from "../provider/contract.ts";

/** An element of an answer of AWS's Query API: no attributes, no mixed content. */
export interface Xml {
  readonly name: string;
  readonly children: readonly Xml[];
  readonly text: string;
  /** The first child of a name; throws ProviderFailure Broken when there is none. */
  at(name: string): Xml;
  find(name: string): Xml | undefined;
  /** Elements of a list, `<member>`s; none where there is no such child. */
  members(name: string): readonly Xml[];
}

const mostElements = 500_000;
const mostDepth = 64;
const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Reads what AWS answers. Declarations of types and entities are refused. Throws ProviderFailure Broken. */
export function readXml(text: string): Xml {
  const broken = (what: string) => new ProviderFailure("Broken", `the answer is no XML: ${what}`);
  const token = /<\?[^>]*\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z_][\w.:-]*)([^<>]*?)(\/?)>|([^<]+)|</g;
  interface Open {
    name: string;
    children: Xml[];
    text: string;
  }
  const root: Open = { name: "", children: [], text: "" };
  const stack: Open[] = [root];
  let count = 0;
  for (const [whole, closing, name, , empty, words] of text.matchAll(token)) {
    const top = stack.at(-1) ?? root;
    if (words !== undefined) top.text += words;
    else if (name === undefined) {
      if (whole === "<") throw broken("a < that begins nothing");
    } else if (closing) {
      if (stack.length < 2 || top.name !== name) throw broken(`</${name.slice(0, 40)}> ends nothing`);
      stack.pop();
      stack.at(-1)?.children.push(element(top.name, top.children, decoded(top.text)));
    } else if (empty) top.children.push(element(name, [], ""));
    else {
      if (++count > mostElements || stack.length > mostDepth) throw broken("it is too large");
      stack.push({ name, children: [], text: "" });
    }
  }
  const [first] = root.children;
  if (stack.length !== 1 || !first || root.children.length > 1) throw broken("it is not whole");
  return first;

  function decoded(raw: string): string {
    return raw.trim().replaceAll(/&(#x?[0-9A-Fa-f]{1,6}|\w{1,8});/g, (_, word: string) => {
      if (!word.startsWith("#")) {
        const found = entities[word];
        if (found === undefined) throw broken(`&${word};`);
        return found;
      }
      const code = word[1] === "x" ? Number.parseInt(word.slice(2), 16) : Number.parseInt(word.slice(1), 10);
      if (!(code > 0 && code <= 0x10_ff_ff)) throw broken(`&${word};`);
      return String.fromCodePoint(code);
    });
  }
  function element(name: string, children: readonly Xml[], own: string): Xml {
    const find = (of: string) => children.find((one) => one.name === of);
    return {
      name,
      children,
      text: own,
      find,
      at(of) {
        const found = find(of);
        if (!found) throw new ProviderFailure("Broken", `the answer's ${name} has no ${of}`);
        return found;
      },
      members: (of) => find(of)?.children.filter((one) => one.name === "member") ?? [],
    };
  }
}
