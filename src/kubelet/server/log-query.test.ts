import { expect, test } from "vitest";
import type { Pod } from "../../kube/index.ts";
import { viewOf } from "../pods/pod-view.ts";
import type { ContainerRecord } from "../runtime/runtime.ts";
import { chooseAttempt, parseLogQuery } from "./log-query.ts";

const parse = (query: string) => parseLogQuery(new URLSearchParams(query), 100_000);

test("parseLogQuery: what kubectl sends", () => {
  expect(parse("")).toEqual({ follow: false, previous: false, timestamps: false });
  expect(parse("follow=true&previous=1&timestamps=true&tailLines=0&limitBytes=10&sinceSeconds=40")).toEqual({
    follow: true,
    previous: true,
    timestamps: true,
    tailLines: 0,
    limitBytes: 10,
    since: 60_000,
  });
  expect(parse("sinceTime=1970-01-01T00:00:05Z").since).toBe(5_000);
});

test.each(["tailLines=-1", "tailLines=x", "limitBytes=0", "sinceSeconds=0", "sinceTime=soon"])(
  "parseLogQuery: %s is refused by name",
  (query) => {
    expect(() => parse(query)).toThrow(query.split("=")[0]);
  },
);

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", uid: "u" },
  spec: { containers: [{ name: "web" }, { name: "side" }] },
  status: {
    containerStatuses: [
      {
        name: "web",
        image: "",
        imageID: "",
        ready: false,
        restartCount: 1,
        state: { waiting: { reason: "CrashLoopBackOff" } },
      },
      {
        name: "side",
        image: "",
        imageID: "",
        ready: false,
        restartCount: 0,
        state: { waiting: { reason: "ErrImageNeverPull" } },
      },
    ],
  },
};
const attempt = (number: number, state: "running" | "exited"): ContainerRecord => ({
  id: `c${number}`,
  sandboxId: "s",
  podUid: "u",
  name: "web",
  attempt: number,
  image: "",
  imageId: "",
  logPath: "",
  createdAt: 0,
  state,
});
const choose = (container: string, containers: ContainerRecord[], previous = false): string =>
  chooseAttempt(pod, container, viewOf({ sandboxes: [], containers }), previous).id;

test("chooseAttempt: the newest, or with previous the one before", () => {
  expect(choose("web", [attempt(0, "exited"), attempt(1, "running")])).toBe("c1");
  expect(choose("web", [attempt(0, "exited"), attempt(1, "running")], true)).toBe("c0");
});

test("chooseAttempt: in back-off the last end is the previous one", () => {
  expect(choose("web", [attempt(0, "exited"), attempt(1, "exited")], true)).toBe("c1");
});

test("chooseAttempt: why there is none", () => {
  expect(() => choose("db", [])).toThrow('container "db" not found in pod "a"');
  expect(() => choose("side", [])).toThrow('container "side" in pod "a" is waiting to start: ErrImageNeverPull');
  expect(() => choose("web", [attempt(0, "running")], true)).toThrow(
    'previous terminated container "web" in pod "a" not found',
  );
});
