import { expect, test } from "vitest";
import { askSteps, type Admission, type AdmissionRequest } from "./admission.ts";

/** Steps look at nothing of it here. */
const request = {} as AdmissionRequest;

test("steps that answer at once are not waited for", () => {
  const asked: number[] = [];
  const steps: Admission[] = [1, 2, 3].map((n) => () => void asked.push(n));
  expect(askSteps(steps, request)).toBeUndefined();
  expect(asked).toEqual([1, 2, 3]);
});

test("a step is asked when the one before it has answered", async () => {
  const asked: string[] = [];
  const steps: Admission[] = [
    async () => {
      await Promise.resolve();
      asked.push("slow");
    },
    () => void asked.push("quick"),
    async () => void asked.push("last"),
  ];
  await askSteps(steps, request);
  expect(asked).toEqual(["slow", "quick", "last"]);
});

test("who comes after a refusal is not asked, whether it came at once or later", async () => {
  const after: string[] = [];
  const refuse = (): never => {
    throw new Error("refused");
  };
  const last: Admission = () => void after.push("asked");
  expect(() => askSteps([refuse, last], request)).toThrow("refused");
  await expect(askSteps([async () => {}, refuse, last], request)).rejects.toThrow("refused");
  await expect(askSteps([async () => refuse(), last], request)).rejects.toThrow("refused");
  expect(after).toEqual([]);
});
