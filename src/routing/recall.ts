/** A look-up into everything else, by what is asked and of whom. `World` says what each question is answered with. */
export type Ask<World> = <K extends keyof World>(what: K, key: string) => World[K];

/** What was worked out, and all that was asked for it: while the answers are the same, so is it. */
export interface Remembered<World, T> {
  readonly value: T;
  readonly answers: readonly (readonly [what: keyof World, key: string, answer: unknown])[];
}

/** What is known while all that was asked for it is answered the same (by identity); else what `make` makes of it now. */
export function recall<World, T>(
  known: Remembered<World, T> | undefined,
  ask: Ask<World>,
  make: (ask: Ask<World>) => T,
): Remembered<World, T> {
  if (known && holds(known.answers, ask)) return known;
  const answers: [keyof World, string, unknown][] = [];
  // What is asked again and again, once for each rule, is looked at once.
  const asked = new Set<string>();
  const value = make((what, key) => {
    const answer = ask(what, key);
    const question = `${String(what)} ${key}`;
    if (!asked.has(question)) answers.push([what, key, answer]);
    asked.add(question);
    return answer;
  });
  return { value, answers };
}

function holds<World>(answers: Remembered<World, unknown>["answers"], ask: Ask<World>): boolean {
  for (const [what, key, answer] of answers) if (ask(what, key) !== answer) return false;
  return true;
}
