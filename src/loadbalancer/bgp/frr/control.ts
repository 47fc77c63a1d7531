import { connect } from "node:net";

/** A daemon of FRR did not answer, or refused. */
export class FrrError extends Error {
  readonly code = "FRR";
}

/** What a daemon answered to one command. */
export interface FrrAnswer {
  readonly text: string;
  /** Nothing was wrong with it. */
  readonly isGood: boolean;
}

const patience = 5_000;
const answerLimit = 64 << 20;

/**
 * Says commands to a daemon through the socket that vtysh speaks to, and answers with what it said to each. They are sent at once: each ends with a zero
 * byte; each answer is text, three zero bytes, and a byte that is zero when all is well. Throws FrrError when it does not answer. Commands are never made
 * of a user's text but by the serialiser.
 */
export function askFrr(path: string, commands: readonly string[]): Promise<readonly FrrAnswer[]> {
  return new Promise((resolve, reject) => {
    const answers: FrrAnswer[] = [];
    const parts: Buffer[] = [];
    let size = 0;
    const socket = connect(path);
    const fail = (message: string): void => {
      socket.destroy();
      reject(new FrrError(message));
    };
    socket.setTimeout(patience, () => fail(`FRR has not answered for ${patience / 1000} s`));
    socket.on("error", (error) => fail(`FRR does not answer: ${error.message}`));
    socket.on("close", () => fail("FRR has closed its socket"));
    socket.on("connect", () => socket.write(commands.map((one) => `${one}\0`).join("")));
    socket.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > answerLimit) return fail("FRR's answer is too long");
      parts.push(chunk);
      // Most pieces of a long answer have no end in them.
      if (!chunk.includes(0) && parts.length > 1 && !hasZero(parts)) return;
      let rest = Buffer.concat(parts);
      for (let at = rest.indexOf(0); at >= 0 && rest.length >= at + 4; at = rest.indexOf(0)) {
        answers.push({ text: rest.toString("utf8", 0, at).trim(), isGood: rest[at + 3] === 0 });
        rest = rest.subarray(at + 4);
      }
      parts.splice(0, parts.length, rest);
      if (answers.length < commands.length) return;
      socket.destroy();
      resolve(answers);
    });
  });
}

const hasZero = (parts: readonly Buffer[]): boolean => parts.some((part) => part.includes(0));

/** Asks for one thing that is answered as JSON. Throws FrrError. */
export async function askFrrJson(path: string, command: string): Promise<unknown> {
  const [, answer] = await askFrr(path, ["enable", command]);
  try {
    return JSON.parse(answer?.text ?? "") as unknown;
  } catch {
    throw new FrrError(`FRR answers ${JSON.stringify(command)} with ${JSON.stringify(answer?.text.slice(0, 200))}`);
  }
}
