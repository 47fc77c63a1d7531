import { PassThrough, type Duplex } from "node:stream";
import { originOf, type Egress, type EgressRequest, type EgressTarget } from "./egress.ts";

/** What a fake other end answers. */
export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: object | string;
}

export interface FakeEgress extends Egress {
  /** Every request that went out, in order. */
  readonly sent: readonly { origin: string; target: EgressTarget; request: EgressRequest; body: unknown }[];
}

/** Egress to a function. What it throws is what `open` rejects with. */
export function createFakeEgress(
  answer: (origin: string, request: EgressRequest, body: unknown) => FakeAnswer | Promise<FakeAnswer>,
): FakeEgress {
  const sent: { origin: string; target: EgressTarget; request: EgressRequest; body: unknown }[] = [];
  return {
    sent,
    async open(target, request) {
      const origin = originOf(target);
      const body: unknown = request.body?.length ? JSON.parse(Buffer.from(request.body).toString()) : undefined;
      sent.push({ origin, target, request, body });
      const { status = 200, headers = {}, body: given = "" } = await answer(origin, request, body);
      const bytes = Buffer.from(typeof given === "string" ? given : JSON.stringify(given));
      const stream = new PassThrough();
      stream.end(bytes);
      return { status, headers, body: Object.assign(stream, { destroy: () => void stream.resume() }) };
    },
    dial: (): Promise<Duplex> => Promise.resolve(new PassThrough()),
    close: () => Promise.resolve(),
  };
}
