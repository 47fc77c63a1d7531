import type { Json, JsonObject } from "./places.ts";
import { type Place, placesOf, replaced, withText } from "./places.ts";
import type { MakeSample, Placed } from "./samples.ts";
import { combinations, hostile } from "./values.ts";

/** Objects of which one has a hostile string. */
export interface Variant {
  /** Where it is, for people. */
  readonly where: string;
  readonly objects: readonly Placed[];
}

const isSecret = ({ resource }: Placed): boolean => resource.kind === "Secret";

/** What stands in a Secret is what it stands for. */
function inPlace(of: Placed, { path, text, isName }: Place, make: (before: string) => string): string {
  if (!isSecret(of) || isName || path[0] !== "data") return make(text);
  return Buffer.from(make(Buffer.from(text, "base64").toString("utf8")), "utf8").toString("base64");
}

/** Every sample with a hostile value in every place in turn. Values are others in every round, and in every place of a round. */
export function variantsOf(samples: readonly MakeSample[], round: number): Variant[] {
  const variants: Variant[] = [];
  let place = 0;
  // Not even a client that nothing validates has an object without a name.
  const add = (variant: Variant): void => {
    const isNamed = ({ object }: Placed): boolean => (object["metadata"] as JsonObject)["name"] !== "";
    variants.push({ ...variant, objects: variant.objects.filter(isNamed) });
  };
  for (const make of samples)
    for (const index of placesOf(make(0).of.object).keys()) {
      // Once in its place alone, and once wherever what it names is named.
      for (const everywhere of [false, true]) {
        const n = variants.length + 1;
        const { of, others } = make(n);
        const at = placesOf(of.object)[index];
        if (!at) throw new Error("a sample is another one each time");
        const text = inPlace(of, at, (before) => hostile(before, place * 7 + round, n));
        const where = `${of.resource.kind} ${at.path.join(".")}${at.isName ? " (name)" : ""}: ${JSON.stringify(text.slice(0, 80))}`;
        const changed = { ...of, object: withText(of.object, at, text) as JsonObject };
        if (!everywhere) add({ where, objects: [...others, changed] });
        else if (
          others.some(({ object }) => JSON.stringify(replaced(object, at.text, text)) !== JSON.stringify(object))
        )
          add({
            where: `${where}, everywhere`,
            objects: [...others, changed].map((each) => ({
              ...each,
              object: replaced(each.object as Json, at.text, text) as JsonObject,
            })),
          });
      }
      place++;
    }
  return variants;
}

/** Rounds until every place has had every value. */
export const allRounds = combinations;
