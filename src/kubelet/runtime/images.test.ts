import { expect, test } from "vitest";
import { findImage } from "./images.ts";

const images = {
  "fairlead.dev/echo": { command: ["echo"] },
  "nginx:1.25": { command: ["n25"] },
  nginx: { command: ["n"] },
};

test.each([
  ["fairlead.dev/echo", "echo"],
  ["fairlead.dev/echo:v2", "echo"],
  ["fairlead.dev/echo@sha256:0000", "echo"],
  ["nginx", "n"],
  ["nginx:1.25", "n25"],
  ["nginx:1.26", "n"],
  ["docker.io/library/nginx:1.25", "n25"],
])("findImage %s", (image, command) => {
  expect(findImage(images, image).command).toEqual([command]);
});

test("findImage: an unknown image says what to do, and a registry's port is no tag", () => {
  expect(() => findImage(images, "localhost:5000/app:1")).toThrow(
    'image "localhost:5000/app:1" is not mapped to a command on this node: start with --image localhost:5000/app=COMMAND',
  );
});
