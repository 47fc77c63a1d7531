import { expect, test } from "vitest";
import { arrangeMounts } from "./arrange-mounts.ts";

const mount = (source: string, target: string, readOnly = false) => ({ name: "v", source, target, readOnly });

const arrange = (mounts: ReturnType<typeof mount>[]) => arrangeMounts(mounts, (path) => !path.includes("/etc/"));

test("outer directories come before those inside them", () => {
  const [outer, inner] = [mount("/v/1", "/data"), mount("/v/2", "/data/inner")];
  expect(arrange([inner, outer])).toEqual([outer, inner]);
});

test("a source that an earlier mount hides is bound elsewhere first, and only that one", () => {
  const [tmp, hosts, other] = [
    mount("/tmp/v/1", "/tmp"),
    mount("/tmp/etc/hosts", "/etc/hosts", true),
    mount("/tmpfiles", "/other/files"),
  ];
  expect(arrange([hosts, tmp, other])).toEqual([
    { ...hosts, target: "/run/fairlead-mounts/files/0", readOnly: false },
    tmp,
    { ...hosts, source: "/run/fairlead-mounts/files/0" },
    other,
  ]);
});

test("what is bound elsewhere is where no mount hides it", () => {
  const mounts = [mount("/run/v", "/run"), mount("/run/etc/hosts", "/etc/hosts")];
  expect(arrange(mounts)[0]?.target).toBe("/mnt/fairlead-mounts/files/0");
});
