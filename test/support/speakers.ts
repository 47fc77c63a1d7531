import { describe } from "vitest";
import { speakerNames, type SpeakerName } from "../../src/loadbalancer/index.ts";
import { noSpeaker } from "./bgp-lab.ts";

/** The same suite for each program that nodes can speak BGP with. */
export function describeSpeakers(title: string, suite: (speaker: SpeakerName) => void): void {
  for (const speaker of speakerNames) {
    const why = noSpeaker(speaker);
    describe.skipIf(why)(`${title} with ${speaker}${why ? ` (${why})` : ""}`, () => suite(speaker));
  }
}
